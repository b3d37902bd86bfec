// Numbers as people read them, as walker top writes them. What is not known is a dash.

const NONE = "–";

function threeDigits(value) {
  const decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  const text = value.toFixed(decimals);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function inUnits(value, units, step, exact) {
  let unit = 0;
  while (value >= step - 0.5 && unit + 1 < units.length) {
    value /= step;
    unit += 1;
  }
  return [unit === 0 && exact ? value.toFixed(0) : threeDigits(value), units[unit]];
}

/** 37500 as 37,500. */
export function grouped(number) {
  return number === null || number === undefined ? NONE : Math.round(number).toLocaleString("en-US");
}

/** 1234567 as 1.23M, exact below 10,000. */
export function short(number) {
  if (number === null || number === undefined) return NONE;
  if (Math.abs(number) < 10000) return grouped(number);
  return (number < 0 ? "−" : "") + inUnits(Math.abs(number), ["", "k", "M", "G", "T", "P"], 1000, true).join("");
}

/** 1234567 as 1.18 MiB. */
export function bytes(number) {
  if (number === null || number === undefined) return NONE;
  return (number < 0 ? "−" : "") + inUnits(Math.abs(number), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 1024, true).join(" ");
}

/** Bytes with a sign, and nothing for no change. */
export function growth(number) {
  if (number === null || number === undefined) return NONE;
  return (number > 0 ? "+" : "") + bytes(number);
}

/** A share; never rounds something to nothing, nor a part to the whole. */
export function percent(part, whole) {
  if (part === null || part === undefined || !whole) return NONE;
  const value = Math.min((100 * part) / whole, 100);
  if (value <= 0) return "0 %";
  if (value === 100) return "100 %";
  if (value < 0.1) return "<0.1 %";
  if (value < 9.95) return `${threeDigits(Math.round(value * 10) / 10)} %`;
  return value < 99.5 ? `${value.toFixed(0)} %` : ">99 %";
}

/** 47 s, 12 min, 3 h, 5 d. */
export function age(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 60) return `${Math.max(seconds, 0).toFixed(0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

/** Seconds with a digit, for lags. */
export function seconds(number) {
  return number === null || number === undefined ? NONE : number < 100 ? `${number.toFixed(1)} s` : age(number);
}
