// Light or dark: as the system wants it, or as was chosen here.

const KEY = "walker-theme";

function stored() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** Whether dark colours are shown. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** A colour of the style sheet by its name. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Has the switch work, and tells of each change. */
export function start(changed) {
  const choice = document.getElementById("theme");
  const apply = () => {
    if (choice.value) document.documentElement.dataset.theme = choice.value;
    else delete document.documentElement.dataset.theme;
  };
  choice.value = stored();
  apply();
  choice.addEventListener("change", () => {
    apply();
    try {
      localStorage.setItem(KEY, choice.value);
    } catch {
      // It holds until the page is left.
    }
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}
