// Making elements. Texts, those of the database too, become text and never markup.

/** An element with attributes, and children that are elements or texts. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A list of terms and what they say; a value is a text, or a text and a smaller one below. */
export function figures(kind, pairs) {
  return element("dl", { class: kind }, pairs.map(([term, value, below]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, value, below ? element("small", {}, below) : null))));
}

/** Puts the text there unless it is there already, so that nothing is read aloud twice. */
export function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** What an extension or a right is missing for. */
export function missing(part, what) {
  return part && part.missing ? element("p", { class: "missing" }, `${what}: ${part.missing}`) : null;
}

/** The rows of a part, none if it is missing. */
export function rows(part) {
  return Array.isArray(part) ? part : [];
}

/** A table's name; of one that holds another's long values, whose. */
export function tableName(table) {
  return table.toast_of ? `${table.name} (TOAST of ${table.toast_of})` : table.name;
}

/** Why a table's numbers are not exact; null if they are. */
export function inexactness(table) {
  if (table.exact) return null;
  if (table.inexact) return table.inexact;
  if (table.known_blocks === null || table.blocks === null) return "nothing is known yet";
  return `${table.known_blocks} of ${table.blocks} blocks are known`;
}
