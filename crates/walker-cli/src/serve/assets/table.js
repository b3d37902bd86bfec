// One table: its figures, its heat map from the whole table to single blocks, and its history.

import { ask } from "./api.js";
import { Chart } from "./chart.js";
import { element, figures, inexactness, rows, say, tableName } from "./elements.js";
import { HeatMap, drawScale } from "./heatmap.js";
import { age, bytes, growth, grouped, percent, short } from "./numbers.js";

const CELLS = 1024;
// Blocks that are looked into together.
const LEAST = 256;

function number(text) {
  return /^\d+$/.test(text ?? "") ? Number(text) : null;
}

/** Blocks as people count them: the last one is the last one. */
function range(from, to) {
  return to - from === 1 ? `block ${grouped(from)}` : `blocks ${grouped(from)} to ${grouped(to - 1)}`;
}

export class Table {
  constructor(main, state, navigate) {
    this.navigate = navigate;
    this.id = state.id;
    this.title = element("h1", {}, `Table ${state.id}`);
    this.figures = element("div");
    this.crumbs = element("ol", { class: "crumbs", id: "crumbs" });
    this.message = element("p", { class: "missing", role: "alert", hidden: true });
    this.canvas = element("canvas", { id: "heatmap", tabindex: "0", role: "application", "aria-describedby": "keys told" });
    this.told = element("p", { class: "told", id: "told", "aria-live": "polite" });
    this.ends = [element("span", {}, "0"), element("span", {}, "0")];
    this.scale = element("canvas", { role: "img", "aria-label": "Scale of colours, from no dead tuple to the most" });
    this.about = element("p", { class: "note", id: "about" });
    this.block = element("div", { id: "block" });
    const place = element("div", { class: "chart" });
    main.replaceChildren(
      this.title, this.figures,
      element("section", { class: "panel" },
        element("h2", {}, "Where the dead tuples are"),
        element("nav", { "aria-label": "Part of the table" }, this.crumbs),
        this.message,
        element("div", { class: "map" }, this.canvas),
        this.told,
        element("p", { class: "legend" },
          element("span", {}, "dead tuples in a cell:", this.ends[0], this.scale, this.ends[1]),
          element("span", {}, "hatched: not known; half hatched: known in part")),
        this.about,
        element("p", { class: "note", id: "keys" },
          "Click on a cell, or choose one by the arrow keys (", element("kbd", {}, "w"), ": the worst) and press ",
          element("kbd", {}, "Enter"), ", to look into its blocks. ", element("kbd", {}, "Esc"), " goes back."),
        this.block),
      element("section", { class: "panel" }, element("h2", {}, "Dead bytes"), place,
        element("p", { class: "note" }, "Since walker serve was started, while the table is among the fifty with the most.")));
    drawScale(this.scale);
    this.map = new HeatMap(this.canvas, (index) => this.tell(index), (index) => this.open(index));
    this.chart = new Chart(place, bytes, "Dead bytes of this table over time");
    this.keys = (event) => {
      if (event.key === "Escape" && !event.defaultPrevented && event.target.tagName !== "SELECT") this.back();
    };
    document.addEventListener("keydown", this.keys);
    this.set(state);
  }

  /** What the address says: the parts through which one came, from the whole table on, and a block. */
  set(state) {
    const bounds = (state.zoom ?? "").split(",").map((part) => part.split("-").map(number));
    this.parts = bounds.filter(([from, to]) => from !== null && to !== undefined && to !== null && from < to);
    this.chosenBlock = number(state.block);
    this.wanted = null;
    this.renew(true);
    this.showBlock();
  }

  zoom(parts, block) {
    const state = { zoom: parts.map(([from, to]) => `${from}-${to}`).join(","), block: block === null ? "" : String(block) };
    this.navigate(`/table/${this.id}`, state);
  }

  open(index) {
    const cell = this.told_map.cells[index];
    if (this.told_map.blocks_per_cell === 1) this.zoom(this.parts, cell.first_block);
    else {
      // With its neighbours, where it has but a few blocks.
      const size = Math.max(this.told_map.blocks_per_cell, LEAST);
      const from = cell.first_block - (cell.first_block % size);
      this.came = cell.first_block;
      this.zoom([...this.parts, [from, Math.min(from + size, this.told_map.table.blocks)]], null);
    }
  }

  back() {
    if (this.chosenBlock !== null) this.zoom(this.parts, null);
    else if (this.parts.length) this.zoom(this.parts.slice(0, -1), null);
    else this.navigate("/tables", {});
  }

  /** Asks for the part's heat map; while it is looked at, with each look at the server. */
  async renew(isNew) {
    if (this.asking && !isNew) return;
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    const part = this.parts.at(-1);
    const bounds = part ? `from=${part[0]}&to=${part[1]}&` : "";
    try {
      const map = await ask(`tables/${this.id}/heatmap?${bounds}cells=${CELLS}`, asking.signal);
      this.showMap(map, isNew);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    } finally {
      if (this.asking === asking) this.asking = null;
    }
  }

  fail(error) {
    say(this.message, error.message);
    this.message.hidden = false;
  }

  showMap(map, isNew) {
    this.message.hidden = true;
    this.told_map = map;
    const before = this.came;
    // Whoever goes back finds the cell from which they came.
    const came = isNew && before ? map.cells.findIndex((cell) => before >= cell.first_block && before < cell.first_block + cell.blocks) : undefined;
    const block = this.chosenBlock === null ? undefined : map.cells.findIndex((cell) => cell.first_block === this.chosenBlock);
    this.map.show(map.cells, isNew ? Math.max(block ?? came ?? 0, 0) : undefined);
    this.canvas.setAttribute("aria-label", `Heat map of ${map.table.name}, ${range(map.from, Math.max(map.to, map.from + 1))}, ${map.cells.length} cells`);
    this.canvas.dataset.cells = map.cells.length;
    this.canvas.dataset.perCell = map.blocks_per_cell;
    this.canvas.dataset.columns = this.map.columns;
    say(this.ends[1], grouped(this.map.largest));
    const cells = map.blocks_per_cell === 1 ? "Each cell is a block" : `Each cell is ${grouped(map.blocks_per_cell)} blocks`;
    const total = map.cells.reduce((sum, cell) => sum + (cell.dead_tuples ?? 0), 0);
    say(this.about, map.cells.length
      ? `${cells} of ${bytes(map.table.block_size)}. ${grouped(total)} dead tuples here, at ${map.lsn ?? "an unknown position"}${map.inexact ? `. Not exact: ${map.inexact}` : ""}.`
      : "The table has no blocks.");
    this.canvas.hidden = !map.cells.length;
    this.showCrumbs(map);
    if (!map.cells.length) say(this.told, "");
  }

  showCrumbs(map) {
    const names = ["whole table", ...this.parts.map(([from, to]) => range(from, to))];
    if (this.chosenBlock !== null) names.push(range(this.chosenBlock, this.chosenBlock + 1));
    const text = names.join();
    if (this.crumbs.dataset.text === text) return;
    this.crumbs.dataset.text = text;
    this.crumbs.replaceChildren(...names.map((name, index) => {
      const last = index === names.length - 1;
      const go = () => { this.zoom(this.parts.slice(0, index), null); this.canvas.focus(); };
      return element("li", {}, last ? element("span", { "aria-current": "location" }, name) : element("button", { type: "button", onclick: go }, name));
    }));
  }

  /** The numbers of a cell. */
  tell(index) {
    const cell = this.told_map?.cells[index];
    if (!cell) return;
    this.came = cell.first_block;
    const known = cell.known_blocks === cell.blocks ? "" : cell.known_blocks === 0 ? " (not known)" : ` (${grouped(cell.known_blocks)} known)`;
    const dead = cell.known_blocks === 0 ? "" : `: ${grouped(cell.dead_tuples)} dead of ${grouped(cell.tuples)} tuples (${percent(cell.dead_tuples, cell.tuples)})`
      + (cell.dead_bytes === null ? "" : `, ${bytes(cell.dead_bytes)} dead`)
      + `, ${bytes(cell.free_bytes)} free, ${grouped(cell.all_visible_blocks)} of ${grouped(cell.blocks)} all-visible`;
    const text = range(cell.first_block, cell.first_block + cell.blocks);
    say(this.told, text[0].toUpperCase() + text.slice(1) + known + dead);
  }

  /** The row of garbage_blocks of the block that was opened. */
  async showBlock() {
    const block = this.chosenBlock;
    if (block === null) {
      this.block.replaceChildren();
      return;
    }
    try {
      const told = await ask(`tables/${this.id}/blocks?from=${block}&to=${block + 1}`);
      if (block !== this.chosenBlock) return;
      const row = told.blocks[0];
      const heading = element("h2", {}, `Block ${grouped(block)}`);
      if (!row) {
        this.block.replaceChildren(heading, element("p", { class: "missing" }, "The table has no such block any more."));
        return;
      }
      const isKnown = (value) => (row.known ? value : "not known");
      this.block.replaceChildren(heading, figures("figures", [
        ["Dead tuples", isKnown(grouped(row.dead_tuples)), row.known ? percent(row.dead_tuples, row.tuples) : null],
        ["Dead bytes", isKnown(bytes(row.dead_bytes))],
        ["Tuples", isKnown(grouped(row.tuples)), "dead ones included"],
        ["Free bytes", isKnown(bytes(row.free_bytes))],
        ["Dead line pointers", isKnown(grouped(row.lp_dead)), "wait for vacuum"],
        ["Redirects", isKnown(grouped(row.redirects))],
        ["All-visible", isKnown(row.all_visible ? "yes" : "no")],
      ]), element("p", { class: "note" }, `At ${told.lsn ?? "an unknown position"}.`));
    } catch (error) {
      if (block === this.chosenBlock) this.fail(error);
    }
  }

  show({ observation, history, isNews }) {
    const table = rows(observation.tables).find((other) => other.id === this.id);
    if (table) {
      say(this.title, tableName(table));
      const why = inexactness(table);
      const tuples = (table.live_tuples ?? 0) + (table.dead_tuples ?? 0);
      this.figures.replaceChildren(figures("figures", [
        ["Blocks", grouped(table.blocks), table.known_blocks === table.blocks ? "all known" : `${grouped(table.known_blocks)} known`],
        ["Dead bytes", bytes(table.dead_bytes), `${growth(table.dead_bytes_since_start)} since start`],
        ["Dead tuples", grouped(table.dead_tuples), `${percent(table.dead_tuples, tuples)} of all`],
        ["Live tuples", grouped(table.live_tuples)],
        ["Removable now", grouped(table.removable_tuples), table.held_back_by ? `others held back by ${table.held_back_by}` : null],
        ["Deaths a minute", short(table.dead_per_minute === null ? null : Math.round(table.dead_per_minute))],
        ["Died since vacuum", grouped(table.dead_since_vacuum), table.seconds_since_vacuum === null ? "no vacuum seen" : `${age(table.seconds_since_vacuum)} ago`],
        ["Free bytes", bytes(table.free_bytes)],
        ["Exact", why === null ? "yes" : "no", why],
      ]));
    } else {
      say(this.title, `Table ${this.id} is not there any more, or you may not ask for it`);
    }
    this.chart.show(history.times, [["dead bytes", history.get("table")]]);
    if (isNews) {
      this.renew(false);
      if (this.chosenBlock !== null) this.showBlock();
    } else {
      // The colours may have changed.
      this.map.draw();
    }
  }

  destroy() {
    this.asking?.abort();
    document.removeEventListener("keydown", this.keys);
    this.map.destroy();
    this.chart.destroy();
  }
}
