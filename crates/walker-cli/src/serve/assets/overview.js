// The overview: worker and plugins, WAL by resource manager, dead bytes, and who holds back their removal.

import { Chart, MOST_LINES } from "./chart.js";
import { element, figures, missing, rows } from "./elements.js";
import { bytes, grouped, percent, seconds, short } from "./numbers.js";

const WORDS = new Set(["State", "Who", "Last error"]);
const HORIZONS = { data: "tables", catalog: "catalogs", shared: "shared catalogs" };

function panel(title, ...children) {
  return element("section", { class: "panel" }, element("h2", {}, title), children);
}

function list(caption, headings, body) {
  return element("div", { class: "scroll" }, element("table", {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, headings.map((heading) => element("th", { scope: "col", class: WORDS.has(heading) ? "words" : null }, heading)))),
    element("tbody", {}, body.map((cells) => element("tr", {}, cells)))));
}

const rate = (value) => (value === null ? bytes(value) : `${bytes(value)}/s`);
const cell = (text, kind) => element("td", { class: kind }, text);
const head = (text) => element("th", { scope: "row" }, text);

export class Overview {
  constructor(main) {
    this.plugins = element("div");
    this.rmgrs = element("div");
    this.holders = element("div");
    this.totals = element("div");
    const charts = ["wal", "dead", "lag"].map((name) => element("div", { class: "chart", id: `chart-${name}` }));
    main.replaceChildren(
      element("h1", {}, "Overview"),
      this.totals,
      element("div", { class: "grid" },
        element("section", { class: "panel wide" }, element("h2", {}, "Worker and plugins"), this.plugins),
        panel("WAL read, bytes a second", charts[0], this.rmgrs),
        panel("Dead bytes of all tables", charts[1]),
        panel("Lag of the plugins, bytes", charts[2]),
        panel("What holds removal back", this.holders)));
    this.wal = new Chart(charts[0], (value) => `${bytes(value)}/s`, "WAL that the worker read, by resource manager, over time");
    this.dead = new Chart(charts[1], bytes, "Dead bytes of all tables over time");
    this.lag = new Chart(charts[2], bytes, "WAL that plugins were not told yet, over time");
  }

  show({ observation, history }) {
    const tables = rows(observation.tables);
    const sum = (field) => tables.reduce((total, table) => total + (table[field] ?? 0), 0);
    const inexact = tables.filter((table) => !table.exact).length;
    this.totals.replaceChildren(figures("figures", [
      ["WAL written", rate(observation.rates.wal_bytes_per_second)],
      ["Dead bytes", bytes(sum("dead_bytes")), `${short(sum("dead_tuples"))} tuples`],
      ["Dead tuples of all", percent(sum("dead_tuples"), sum("dead_tuples") + sum("live_tuples"))],
      ["Removable now", percent(sum("removable_tuples"), sum("dead_tuples")), "of the dead tuples"],
      ["Tables", grouped(tables.length), inexact ? `${grouped(inexact)} not exact` : "all exact"],
    ]));
    this.showPlugins(observation);
    this.showResourceManagers(observation);
    this.showHolders(observation);
    const names = history.names("rmgr");
    const total = (name) => history.get(`rmgr ${name}`).reduce((sum, value) => sum + (value ?? 0), 0);
    const sorted = names.map((name) => [total(name), name]).sort((a, b) => b[0] - a[0]).map(([, name]) => name);
    const shown = sorted.slice(0, sorted.length > MOST_LINES ? MOST_LINES - 1 : MOST_LINES).sort();
    const lines = shown.map((name) => [name, history.get(`rmgr ${name}`)]);
    if (sorted.length > MOST_LINES) {
      const others = sorted.slice(MOST_LINES - 1).map((name) => history.get(`rmgr ${name}`));
      const add = (place) => others.reduce((sum, values) => (values[place] === null ? sum : (sum ?? 0) + values[place]), null);
      lines.push(["others", history.times.map((time, place) => add(place))]);
    }
    this.wal.show(history.times, lines.length ? lines : [["WAL written", history.get("wal")]]);
    this.dead.show(history.times, [["dead bytes", history.get("dead")]]);
    this.lag.show(history.times, history.names("lag").slice(0, MOST_LINES).map((name) => [name, history.get(`lag ${name}`)]));
  }

  showPlugins({ plugins }) {
    const state = (plugin) => cell(plugin.state, `words ${["running", "catching up"].includes(plugin.state) ? "good" : "bad"}`);
    const body = rows(plugins).map((plugin) => [
      head(plugin.name), state(plugin), cell(seconds(plugin.lag_seconds)), cell(bytes(plugin.lag_bytes)),
      cell(short(plugin.records_per_second)), cell(short(plugin.records)), cell(grouped(plugin.failures)),
      cell(plugin.wal_kept === null ? "–" : plugin.wal_kept ? "yes" : "no"), cell(plugin.flushed_lsn ?? "–"),
      cell(plugin.last_error ?? "", "name"),
    ]);
    const headings = ["Plugin", "State", "Lag", "Behind", "Records/s", "Records", "Failures", "WAL kept", "Kept up to", "Last error"];
    this.plugins.replaceChildren(...[
      missing(plugins, "plugins"),
      Array.isArray(plugins) && !body.length ? element("p", { class: "missing" }, "No plugin: walker.plugins is empty, or the worker does not run.") : null,
      body.length ? list("In the order of walker.plugins", headings, body) : null,
    ].filter(Boolean));
  }

  showResourceManagers({ resource_managers: part, rates }) {
    const total = rates.resource_managers.reduce((sum, rate) => sum + rate.bytes, 0);
    const body = rates.resource_managers.slice(0, 8).map((rate) => [
      head(rate.name), cell(`${bytes(rate.bytes)}/s`), cell(`${short(Math.round(rate.records))}/s`), cell(percent(rate.bytes, total)),
    ]);
    this.rmgrs.replaceChildren(...[
      missing(part, "WAL by resource manager"),
      body.length ? list("Now, the most bytes first", ["Resource manager", "Bytes", "Records", "Share"], body)
        : element("p", { class: "note" }, "Nothing was read in the last interval."),
    ].filter(Boolean));
  }

  showHolders({ holders }) {
    const body = rows(holders).filter((holder) => holder.xmin_age > 0).map((holder) => [
      head(HORIZONS[holder.horizon] ?? holder.horizon), cell(holder.name, "name"), cell(`${short(holder.xmin_age)}`),
    ]);
    this.holders.replaceChildren(...[
      missing(holders, "what holds back removal"),
      body.length ? list("Who keeps dead tuples from being removed", ["Of", "Who", "Transactions since"], body) : null,
      Array.isArray(holders) && !body.length ? element("p", { class: "note" }, "Nobody.") : null,
    ].filter(Boolean));
  }

  destroy() {
    [this.wal, this.dead, this.lag].forEach((chart) => chart.destroy());
  }
}
