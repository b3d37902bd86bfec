// The picture of a heat map: cells on a canvas, chosen by the mouse or the arrow keys.

import { SCALE } from "./scale.js";
import { colour } from "./theme.js";

/** The colour between nothing (0) and the largest number (1). */
export function shade(fraction) {
  const place = Math.min(Math.max(fraction, 0), 1) * (SCALE.length - 1);
  const below = Math.min(Math.floor(place), SCALE.length - 2);
  const mix = SCALE[below].map((from, index) => Math.round(from + (place - below) * (SCALE[below + 1][index] - from)));
  return `rgb(${mix.join(" ")})`;
}

const GAP = 1;

export class HeatMap {
  /** chosen(index) is told of each cell that the pointer or the keys are on, opened(index) of each that is opened. */
  constructor(canvas, chosen, opened) {
    this.canvas = canvas;
    this.chosen = chosen;
    this.opened = opened;
    this.cells = [];
    this.place = 0;
    canvas.addEventListener("pointermove", (event) => this.at(event, (index) => this.choose(index)));
    canvas.addEventListener("click", (event) => this.at(event, (index) => { this.choose(index); this.opened(index); }));
    canvas.addEventListener("keydown", (event) => this.press(event));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(canvas.parentElement);
  }

  show(cells, place) {
    this.cells = cells;
    this.largest = cells.reduce((most, cell) => Math.max(most, cell.dead_tuples ?? 0), 0);
    this.place = Math.min(Math.max(place ?? this.place, 0), Math.max(cells.length - 1, 0));
    this.draw();
    if (cells.length) this.chosen(this.place);
  }

  at(event, then) {
    const box = this.canvas.getBoundingClientRect();
    const [column, row] = [Math.floor((event.clientX - box.left) / this.width), Math.floor((event.clientY - box.top) / this.height)];
    const index = row * this.columns + column;
    if (column >= 0 && column < this.columns && index >= 0 && index < this.cells.length) then(index);
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -8 * this.columns, PageDown: 8 * this.columns, Home: -Infinity, End: Infinity,
    };
    if (event.key in steps) {
      const wanted = this.place + steps[event.key];
      this.choose(Math.min(Math.max(wanted, 0), this.cells.length - 1));
    } else if (event.key === "w") {
      // The worst one.
      this.choose(this.cells.findIndex((cell) => (cell.dead_tuples ?? 0) === this.largest));
    } else if (event.key === "Enter" || event.key === " ") {
      if (this.cells.length) this.opened(this.place);
    } else {
      return;
    }
    event.preventDefault();
  }

  choose(index) {
    if (index < 0 || index >= this.cells.length || index === this.place) return;
    const before = this.place;
    this.place = index;
    this.paint(before);
    this.paint(index);
    this.mark();
    this.chosen(index);
  }

  /** The most columns with which all cells fit, in a picture that is not too high. */
  draw() {
    const width = this.canvas.parentElement.clientWidth;
    const count = Math.max(this.cells.length, 1);
    if (!width) return;
    const most = Math.max(Math.floor(width / 8), 8);
    let columns = Math.min(count, most, Math.max(16, 2 ** Math.ceil(Math.log2(Math.sqrt(count * Math.max(width / 420, 1))))));
    if (columns > 16) columns = 2 ** Math.floor(Math.log2(columns));
    this.columns = columns;
    this.width = width / columns;
    const rows = Math.ceil(count / columns);
    this.height = Math.max(6, Math.min(this.width, 420 / rows, 40));
    const density = window.devicePixelRatio || 1;
    this.canvas.style.height = `${rows * this.height}px`;
    this.canvas.width = Math.round(width * density);
    this.canvas.height = Math.round(rows * this.height * density);
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(density, 0, 0, density, 0, 0);
    this.context.clearRect(0, 0, width, rows * this.height);
    this.cells.forEach((cell, index) => this.fill(index));
    this.mark();
  }

  /** Where a cell is: on whole pixels, so that all edges are as sharp. */
  box(index) {
    const [column, row] = [index % this.columns, Math.floor(index / this.columns)];
    const [x, y] = [Math.round(column * this.width), Math.round(row * this.height)];
    return [x, y, Math.round((column + 1) * this.width) - x, Math.round((row + 1) * this.height) - y];
  }

  paint(index) {
    const cell = this.cells[index];
    if (!cell || !this.context) return;
    const [x, y, width, height] = this.box(index);
    // What the mark of the chosen one has covered.
    this.context.clearRect(x - 2, y - 2, width + 4, height + 4);
    const [columns, count] = [this.columns, this.cells.length];
    const near = [0, 1, -1].flatMap((step) => [index + step - columns, index + step, index + step + columns]);
    for (const other of near) if (other >= 0 && other < count) this.fill(other);
  }

  fill(index) {
    const cell = this.cells[index];
    const [x, y, width, height] = this.box(index);
    const gap = Math.min(width, height) > 7 ? GAP : 0;
    const context = this.context;
    if (cell.known_blocks === 0) {
      context.fillStyle = colour("unknown");
      context.fillRect(x, y, width - gap, height - gap);
      this.hatch(x, y, width - gap, height - gap);
      return;
    }
    context.fillStyle = shade(this.largest ? (cell.dead_tuples ?? 0) / this.largest : 0);
    context.fillRect(x, y, width - gap, height - gap);
    if (cell.known_blocks < cell.blocks) this.hatch(x, y + (height - gap) / 2, width - gap, (height - gap) / 2);
  }

  hatch(x, y, width, height) {
    const context = this.context;
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.strokeStyle = colour("hatch");
    context.lineWidth = 1;
    context.beginPath();
    for (let shift = -height; shift < width; shift += 5) {
      context.moveTo(x + shift, y + height);
      context.lineTo(x + shift + height, y);
    }
    context.stroke();
    context.restore();
  }

  mark() {
    if (!this.cells.length || !this.context) return;
    const [x, y, width, height] = this.box(this.place);
    this.context.lineWidth = 2;
    this.context.strokeStyle = colour("page");
    this.context.strokeRect(x + 0.5, y + 0.5, width - 2, height - 2);
    this.context.strokeStyle = colour("focus");
    this.context.setLineDash([4, 2]);
    this.context.strokeRect(x + 0.5, y + 0.5, width - 2, height - 2);
    this.context.setLineDash([]);
  }

  destroy() {
    this.observer.disconnect();
  }
}

/** The scale from nothing to the largest number, on a canvas of a legend. */
export function drawScale(canvas) {
  canvas.width = 192;
  canvas.height = 14;
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x += 1) {
    context.fillStyle = shade(x / (canvas.width - 1));
    context.fillRect(x, 0, 1, canvas.height);
  }
}
