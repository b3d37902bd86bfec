// Asking walker serve. It asks the database once for all pages.

/** Asks for JSON; an error says what the server said. */
export async function ask(path, signal) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, { signal, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("walker serve does not answer. Is it still running?");
  }
  if (response.status === 401) {
    location.assign("/login");
    throw new Error("a token is wanted");
  }
  const told = await response.json().catch(() => null);
  if (!response.ok) {
    const text = told && told.error ? told.error : `the answer is ${response.status}`;
    throw new Error(told && told.hint ? `${text}. ${told.hint}` : text);
  }
  return told;
}

/** The history, asked for once as a whole and then piece by piece. */
export class History {
  constructor() {
    this.times = [];
    this.series = new Map();
  }

  /** Adds what is new; of a table too if one is given. */
  async renew(table) {
    if (table !== this.table) {
      this.table = table;
      this.times = [];
      this.series = new Map();
    }
    const last = this.times.at(-1) ?? 0;
    const told = await ask(`history?since=${last}${table ? `&table=${table}` : ""}`);
    if (table !== this.table || (this.times.at(-1) ?? 0) !== last) return;
    const before = this.times.length;
    this.times.push(...told.times);
    const add = (name, values, earlier) => {
      if (!this.series.has(name)) this.series.set(name, earlier ?? new Array(before).fill(null));
      this.series.get(name).push(...values);
    };
    add("wal", told.wal_bytes_per_second);
    // There was nothing of a resource manager of which nothing was told, wherever something could be told.
    const nothing = (from, to) => this.get("wal").slice(from, to).map((value) => (value === null ? null : 0));
    add("dead", told.dead_bytes);
    for (const rmgr of told.resource_managers) add(`rmgr ${rmgr.name}`, rmgr.bytes_per_second, nothing(0, before));
    for (const plugin of told.plugins) add(`lag ${plugin.name}`, plugin.lag_bytes);
    if (told.table) add("table", told.table.dead_bytes);
    // Who was not told of this time has nothing to say, and the oldest points go.
    for (const name of this.names("rmgr")) {
      const values = this.series.get(`rmgr ${name}`);
      values.push(...nothing(values.length, this.times.length));
    }
    const surplus = Math.max(this.times.length - told.most_points, 0);
    this.times.splice(0, surplus);
    for (const values of this.series.values()) {
      while (values.length < this.times.length + surplus) values.push(null);
      values.splice(0, surplus);
    }
  }

  get(name) {
    return this.series.get(name) ?? [];
  }

  /** The names behind a word, as "rmgr". */
  names(word) {
    return [...this.series.keys()].filter((name) => name.startsWith(`${word} `)).map((name) => name.slice(word.length + 1));
  }
}
