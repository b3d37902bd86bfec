// Lines over time, drawn by uPlot.

import { colour, isDark } from "./theme.js";

// By Okabe and Ito, for colour-blind eyes too; on dark ground the lighter ones of each hue.
const LIGHT = ["#0072b2", "#d55e00", "#00785a", "#a0407f", "#8a6d00", "#4f5965"];
const DARK = ["#56b4e9", "#ff9e57", "#3ad6a4", "#e79bcb", "#f0e442", "#a9b2bd"];

// Steps between the marks of an axis.
const TIMES = [1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, ...[1, 2, 7, 14, 28, 56].map((days) => days * 86400)];
const BYTES = Array.from({ length: 51 }, (none, power) => 2 ** power);

/** A time as exactly as marks so many seconds apart want it. */
function time(tick, step) {
  const two = (number) => String(number).padStart(2, "0");
  const at = new Date(tick * 1000);
  if (step >= 86400) return `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return step < 60 ? `${clock}:${two(at.getSeconds())}` : clock;
}

/** How many lines differ in colour. */
export const MOST_LINES = LIGHT.length;

/** A chart in a place of the page: show(times, [[name, values]]) draws it, destroy() takes it away. */
export class Chart {
  constructor(place, format, label) {
    this.place = place;
    this.format = format;
    this.names = "";
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", label);
    this.observer = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.observer.observe(place);
  }

  size() {
    return { width: Math.max(this.place.clientWidth, 200), height: 190 };
  }

  show(times, lines) {
    const names = JSON.stringify([lines.map(([name]) => name), isDark()]);
    const data = [times, ...lines.map(([, values]) => values)];
    if (this.plot && names === this.names) {
      this.plot.setData(data);
      return;
    }
    this.names = names;
    this.plot?.destroy();
    const palette = isDark() ? DARK : LIGHT;
    const axis = { stroke: colour("faint"), grid: { stroke: colour("line"), width: 0.5 }, ticks: { stroke: colour("line"), width: 0.5 } };
    const told = (plot, value) => (value === null || value === undefined ? "–" : this.format(value));
    this.plot = new uPlot({
      ...this.size(),
      series: [{ value: (plot, tick) => (tick === null ? "–" : time(tick, 1)), label: "at" }, ...lines.map(([name], index) => ({
        label: name,
        stroke: palette[index % palette.length],
        width: 1.5,
        spanGaps: false,
        // Where there are few, also those that no line leads to.
        points: { show: (plot) => plot.series[0].idxs[1] - plot.series[0].idxs[0] < 60 },
        value: told,
      }))],
      axes: [
        { ...axis, space: 70, incrs: TIMES, values: (plot, ticks, index, space, step) => ticks.map((tick) => time(tick, step)) },
        { ...axis, size: 76, incrs: BYTES, values: (plot, ticks) => ticks.map((tick) => this.format(tick)) },
      ],
      scales: { x: { range: (plot, low, high) => [low, Math.max(high, low + 60)] }, y: { range: (plot, low, high) => [Math.min(low ?? 0, 0), Math.max(high ?? 0, 1) * 1.05] } },
      cursor: { drag: { x: false, y: false } },
      legend: { live: true },
    }, data, this.place);
  }

  destroy() {
    this.observer.disconnect();
    this.plot?.destroy();
  }
}
