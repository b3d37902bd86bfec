// The page: which view is shown says the fragment of its address, so that Back works; what it shows is asked for at intervals.

import { History, ask } from "./api.js";
import { element, say } from "./elements.js";
import { age, bytes } from "./numbers.js";
import { Overview } from "./overview.js";
import { Table } from "./table.js";
import { Tables } from "./tables.js";
import { start as startTheme } from "./theme.js";

const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
const history_ = new History();
let view = null;
let viewName = "";
let observation = null;
let seen = 0;
let timer = 0;

/** #/tables?sort=name as path and state. */
function address() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  return [path || "/overview", Object.fromEntries(new URLSearchParams(query ?? ""))];
}

/** Goes to a view; in place of this one if it is no step of its own. */
function navigate(path, state, inPlace = false) {
  const given = Object.entries(state).filter(([, value]) => value !== "" && value !== undefined);
  const query = new URLSearchParams(given).toString();
  const hash = `#${path}${query ? `?${query}` : ""}`;
  if (hash === location.hash) return;
  if (inPlace) {
    history.replaceState(null, "", hash);
    route();
  } else {
    location.hash = hash;
  }
}

function tableId() {
  const found = /^\/table\/(\d+)$/.exec(address()[0]);
  return found ? Number(found[1]) : null;
}

function route() {
  const [path, state] = address();
  const id = tableId();
  const name = id === null ? path : `/table/${id}`;
  if (name === viewName && view?.set) {
    view.set({ ...state, id });
    return;
  }
  if (name === viewName) return;
  const isFirst = view === null;
  view?.destroy();
  viewName = name;
  if (id !== null) view = new Table(main, { ...state, id }, navigate);
  else if (path === "/tables") view = new Tables(main, state, navigate);
  else view = new Overview(main);
  for (const link of document.querySelectorAll("header nav a")) {
    const isCurrent = link.hash === `#${path}` || (link.hash === "#/tables" && id !== null);
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `WALker: ${id !== null ? `table ${id}` : path === "/tables" ? "tables" : "overview"}`;
  if (!isFirst) main.focus();
  look();
}

function showServer() {
  const server = observation.server;
  const fact = (term, value) => element("div", {}, element("dt", {}, term), element("dd", {}, value));
  document.getElementById("server").replaceChildren(
    fact("database", server.database),
    fact("PostgreSQL", server.version.split(" ")[0]),
    fact(server.in_recovery ? "replayed" : "WAL", server.lsn),
    fact("written", observation.rates.wal_bytes_per_second === null ? "–" : `${bytes(observation.rates.wal_bytes_per_second)}/s`));
}

function tellTrouble(text) {
  trouble.hidden = !text;
  say(trouble, text ?? "");
}

function tellAge() {
  const place = document.getElementById("freshness");
  if (!observation) return;
  const old = (Date.now() - seen) / 1000;
  say(place, old < 3 * observation.interval_seconds + 5 ? `As of ${time(observation.server.time)}.` : `As of ${time(observation.server.time)}, ${age(old)} ago.`);
}

function time(text) {
  return new Date(text).toLocaleTimeString();
}

/** Looks once, and again after the interval. */
async function look() {
  clearTimeout(timer);
  const shown = view;
  try {
    const [told] = await Promise.all([ask("observation"), history_.renew(tableId())]);
    const isNews = !observation || told.server.time !== observation.server.time;
    observation = told;
    if (isNews) seen = Date.now();
    tellTrouble(told.trouble ? `${told.trouble.message} – what is shown is of ${new Date(told.server.time).toLocaleString()}. It is tried again.` : null);
    showServer();
    if (view === shown) view.show({ observation, history: history_, isNews: true });
  } catch (error) {
    tellTrouble(observation ? `${error.message} What is shown is of ${new Date(observation.server.time).toLocaleString()}.` : error.message);
  }
  tellAge();
  clearTimeout(timer);
  // Nobody looks at a page that is hidden.
  if (!document.hidden) timer = setTimeout(look, 1000 * (observation?.interval_seconds ?? 2));
}

startTheme(() => {
  if (observation) view.show({ observation, history: history_, isNews: false });
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
window.addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
route();
