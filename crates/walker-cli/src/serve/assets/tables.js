// All tables, sorted by a heading, filtered by name.

import { element, inexactness, missing, rows, tableName } from "./elements.js";
import { age, bytes, growth, percent, short } from "./numbers.js";

const ratio = (part, whole) => (part === null || !whole ? null : part / whole);
const tuples = (table) => (table.live_tuples ?? 0) + (table.dead_tuples ?? 0);

// Key in the address, heading, what is sorted by, what is shown, what the heading means.
const COLUMNS = [
  ["name", "Table", tableName, null, "Schema and name"],
  ["size", "Blocks", (t) => t.blocks, (t) => short(t.blocks), "Size of its file in blocks"],
  ["dead-bytes", "Dead bytes", (t) => t.dead_bytes, (t) => bytes(t.dead_bytes), "Bytes of dead tuples"],
  ["dead-ratio", "Dead", (t) => ratio(t.dead_tuples, tuples(t)), (t) => percent(t.dead_tuples, tuples(t)), "Share of its tuples that are dead"],
  ["dead-tuples", "Dead tuples", (t) => t.dead_tuples, (t) => short(t.dead_tuples), "Number of dead tuples"],
  ["removable", "Removable", (t) => ratio(t.removable_tuples, t.dead_tuples), (t) => percent(t.removable_tuples, t.dead_tuples), "Share of the dead tuples that a vacuum could remove now"],
  ["deaths", "Deaths/min", (t) => t.dead_per_minute, (t) => short(t.dead_per_minute === null ? null : Math.round(t.dead_per_minute)), "Tuples that die in a minute, over the last minutes"],
  ["growth", "Growth/min", (t) => t.dead_bytes_per_second, (t) => growth(t.dead_bytes_per_second === null ? null : t.dead_bytes_per_second * 60), "Dead bytes that came or went since the last look, in a minute"],
  ["growth-since-start", "Since start", (t) => t.dead_bytes_since_start, (t) => growth(t.dead_bytes_since_start), "Dead bytes that came or went since walker serve was started"],
  ["vacuum", "Vacuum", (t) => t.seconds_since_vacuum, (t) => age(t.seconds_since_vacuum), "Time since the last vacuum"],
];
const SHOWN_AT_FIRST = 200;

export class Tables {
  constructor(main, state, navigate) {
    this.navigate = navigate;
    this.most = SHOWN_AT_FIRST;
    this.filter = element("input", {
      id: "filter", type: "search", placeholder: "part of a name", autocomplete: "off",
      oninput: () => this.change({ filter: this.filter.value }),
    });
    this.count = element("span", { class: "note", role: "status" });
    this.note = element("div");
    this.headings = COLUMNS.map(([key, heading, , , meaning]) => element("th", { scope: "col" },
      element("button", { type: "button", title: meaning, id: `sort-${key}`, onclick: () => this.sortBy(key) }, heading)));
    this.body = element("tbody");
    this.more = element("button", { type: "button", onclick: () => { this.most = Infinity; this.render(); } }, "Show all");
    main.replaceChildren(
      element("h1", {}, "Tables"),
      element("div", { class: "tools" }, element("label", { for: "filter" }, "Names that contain"), this.filter, this.count),
      this.note,
      element("div", { class: "scroll" }, element("table", { id: "tables" },
        element("caption", {}, "A heading sorts, once more the other way round. The name leads to the heat map."),
        element("thead", {}, element("tr", {}, this.headings)), this.body)),
      this.more);
    this.set(state);
  }

  /** What the address says. */
  set(state) {
    this.sort = COLUMNS.some(([key]) => key === state.sort) ? state.sort : "dead-bytes";
    this.reversed = state.reversed === "1";
    if (this.filter.value !== (state.filter ?? "")) this.filter.value = state.filter ?? "";
    if (this.observation) this.render();
  }

  change(what) {
    const state = { sort: this.sort, reversed: this.reversed ? "1" : "", filter: this.filter.value, ...what };
    // Each letter of a filter is no step to go back to.
    this.navigate("/tables", state, what.filter !== undefined);
  }

  sortBy(key) {
    this.change({ sort: key, reversed: this.sort === key && !this.reversed ? "1" : "" });
  }

  show({ observation }) {
    this.observation = observation;
    this.render();
  }

  render() {
    const [, , value] = COLUMNS.find(([key]) => key === this.sort);
    const filter = this.filter.value.toLowerCase();
    const all = rows(this.observation.tables);
    const found = all.filter((table) => tableName(table).toLowerCase().includes(filter));
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (typeof x === "string") return x < y ? -1 : x > y ? 1 : 0;
      // What is not known comes last.
      return (y ?? -Infinity) - (x ?? -Infinity) || (b.dead_bytes ?? -1) - (a.dead_bytes ?? -1) || (tableName(a) < tableName(b) ? -1 : 1);
    };
    found.sort(order);
    if (this.reversed) found.reverse();
    COLUMNS.forEach(([key], index) => {
      const ascending = (key === "name") !== this.reversed;
      if (key === this.sort) this.headings[index].setAttribute("aria-sort", ascending ? "ascending" : "descending");
      else this.headings[index].removeAttribute("aria-sort");
      const button = this.headings[index].firstChild;
      button.textContent = COLUMNS[index][1] + (key === this.sort ? (ascending ? " ▲" : " ▼") : "");
    });
    this.count.textContent = found.length === all.length ? `${all.length} tables` : `${found.length} of ${all.length} tables`;
    this.note.replaceChildren(...[missing(this.observation.tables, "tables")].filter(Boolean));
    this.fill(found.slice(0, this.most));
    this.more.hidden = found.length <= this.most;
  }

  /** Changes rows rather than making them anew, so that the focus and what is selected stay. */
  fill(tables) {
    const old = new Map([...this.body.children].map((row) => [row.dataset.id, row]));
    const made = tables.map((table) => {
      const row = old.get(String(table.id)) ?? this.row(table);
      const link = row.firstChild.firstChild;
      if (link.textContent !== tableName(table)) link.textContent = tableName(table);
      COLUMNS.slice(1).forEach(([, , , text], index) => {
        const cell = row.children[index + 1];
        const told = text(table);
        if (cell.textContent !== told) cell.textContent = told;
      });
      const why = inexactness(table);
      const mark = row.firstChild.lastChild;
      mark.hidden = why === null;
      mark.textContent = why === null ? "" : "not exact";
      mark.title = why ?? "";
      return row;
    });
    const isSame = made.length === this.body.children.length && made.every((row, index) => row === this.body.children[index]);
    if (isSame) return;
    const focused = document.activeElement;
    this.body.replaceChildren(...made);
    if (this.body.contains(focused)) focused.focus({ preventScroll: true });
  }

  row(table) {
    const name = element("td", { class: "name" }, element("a", { href: `#/table/${table.id}` }), " ", element("span", { class: "inexact" }));
    const row = element("tr", {}, name, COLUMNS.slice(1).map(() => element("td")));
    row.dataset.id = table.id;
    return row;
  }

  destroy() {}
}
