// Tells in words what the cell is that the pointer rests on or the keyboard has chosen. The picture is there without it.
"use strict";
const output = document.querySelector("output");
for (const picture of document.querySelectorAll("svg.cells")) {
  const cells = Array.from(picture.querySelectorAll("rect.cell"));
  const columns = Number(picture.dataset.columns);
  let chosen = -1;
  const choose = (index) => {
    if (index < 0 || index >= cells.length) return;
    if (chosen >= 0) cells[chosen].classList.remove("chosen");
    chosen = index;
    cells[chosen].classList.add("chosen");
    output.textContent = cells[chosen].querySelector("title").textContent;
  };
  picture.setAttribute("tabindex", "0");
  picture.addEventListener("pointerover", (event) => choose(cells.indexOf(event.target)));
  picture.addEventListener("click", (event) => choose(cells.indexOf(event.target)));
  picture.addEventListener("focus", () => { if (chosen < 0) choose(0); });
  picture.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const start = chosen < 0 ? 0 : chosen;
    const to = { ArrowLeft: start - 1, ArrowRight: start + 1, ArrowUp: start - columns, ArrowDown: start + columns,
      Home: 0, End: cells.length - 1 }[event.key];
    if (to === undefined) return;
    choose(to);
    event.preventDefault();
  });
}
