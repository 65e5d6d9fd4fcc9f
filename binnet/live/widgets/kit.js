// What widgets share: elements, numbers in words, results read aloud, sliders, rows of cells, axes.
const SVG = new Set(["svg", "g", "path", "line", "circle", "rect", "text", "polyline", "title"]);
const STAGE = ROOT.querySelector(".stage");
STAGE.textContent = "";

// An element of HTML or SVG; attributes that begin with "on" are listeners.
function h(tag, attributes = {}, ...children) {
  const node = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  set(node, attributes);
  node.append(...children);
  return node;
}

function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === null || value === undefined || value === false) node.removeAttribute(key);
    else node.setAttribute(key, value === true ? "" : value);
  }
}

// A number with a minus sign, without −0; signed() writes the plus as well.
const number = (value, digits = 0) => value.toFixed(digits).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");
const signed = (value, digits = 0) => (value > 0 ? "+" : "") + number(value, digits);

// A number that tests and readers find by its name.
const shown = (name, text = "") => h("b", { "data-value": name }, text);
function put(name, text) {
  for (const node of ROOT.querySelectorAll(`[data-value="${name}"]`)) node.textContent = text;
}

// A line that screen readers speak whenever it changes.
const spoken = (...children) => h("p", { class: "result", role: "status", "aria-live": "polite" }, ...children);

const button = (text, onclick, attributes = {}) => h("button", { type: "button", onclick, ...attributes }, text);

// A named slider that shows its value.
function slider(label, { min, max, step, value, id, write = String }, change) {
  const output = h("output", {}, write(value));
  const input = h("input", { type: "range", min, max, step, value, "data-slider": id, "aria-label": label });
  const apply = () => {
    const now = Number(input.value);
    output.textContent = write(now);
    input.setAttribute("aria-valuetext", write(now));
    change(now);
  };
  input.addEventListener("input", apply);
  const node = h("label", { class: "slider" }, h("span", {}, label), input, output);
  return { node, set: (now) => { input.value = now; apply(); } };
}

// A row of cells under a name, with a note at its end; cells that flip are buttons, and the arrow keys go through them.
function row(name, count, { flip, word, note = "" } = {}) {
  const cells = Array.from({ length: count }, (_, i) =>
    flip ? button("", () => flip(i), { class: "cell", tabindex: i ? -1 : 0, "data-i": i })
         : h("span", { class: "cell", "data-i": i }));
  const line = h("div", flip ? { class: "cells", role: "toolbar", "aria-label": word } : { class: "cells", "aria-hidden": "true" }, ...cells);
  if (flip) line.addEventListener("keydown", (event) => {
    const at = cells.indexOf(event.target);
    const last = cells.findLastIndex((cell) => !cell.hidden && !cell.disabled);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (to < 0 || to > last) return;
    cells.forEach((cell, i) => (cell.tabIndex = i === to ? 0 : -1));
    cells[to].focus();
  });
  line.style.setProperty("--count", count);
  return { cells, node: h("div", { class: "row" }, h("span", { class: "name" }, name), line, h("span", { class: "note" }, note)) };
}

// Marks the column under the pointer or the focus, in all rows.
function columns(node) {
  const mark = (i) => node.querySelectorAll(".cell").forEach((cell) => cell.classList.toggle("here", cell.dataset.i === i));
  for (const kind of ["pointerover", "focusin"]) node.addEventListener(kind, (event) => mark(event.target.dataset.i));
  for (const kind of ["pointerleave", "focusout"]) node.addEventListener(kind, () => mark());
}

// A sign as a cell: + or −, with its colour.
const paint = (cell, value, text = value < 0 ? "−" : "+") => {
  cell.textContent = text;
  cell.classList.toggle("neg", value < 0);
  cell.classList.toggle("pos", value > 0);
};

// A drawing with its own units, and what turns values into them: x and y map [low, high] to the inside of the frame.
function plot(width, height, [left, right], [bottom, top], label, { margin = [14, 12, 26, 34] } = {}) {
  const [above, after, below, before] = margin;
  const x = (value) => before + ((value - left) / (right - left)) * (width - before - after);
  const y = (value) => height - below - ((value - bottom) / (top - bottom)) * (height - above - below);
  const back = (px, py) => [left + ((px - before) / (width - before - after)) * (right - left),
    bottom + ((height - below - py) / (height - above - below)) * (top - bottom)];
  const svg = h("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
  return { svg, x, y, back };
}

// Marks with numbers under a plot (axis "x") or beside it ("y"), and the axis itself with its name.
function axis({ svg, x, y }, kind, ticks, at, name, write = String) {
  const parts = ticks.map((tick) => kind === "x"
    ? h("text", { x: x(tick), y: y(at) + 16, "text-anchor": "middle", class: "quiet" }, write(tick))
    : h("text", { x: x(at) - 6, y: y(tick) + 4, "text-anchor": "end", class: "quiet" }, write(tick)));
  const [first, last] = [ticks[0], ticks.at(-1)];
  const line = kind === "x" ? { x1: x(first), x2: x(last), y1: y(at), y2: y(at) } : { x1: x(at), x2: x(at), y1: y(first), y2: y(last) };
  const title = kind === "x" ? { x: x(last), y: y(at) - 6, "text-anchor": "end" } : { x: x(at) + 6, y: y(last) + 4 };
  svg.append(h("line", { ...line, class: "axis" }), ...parts, h("text", title, name));
}

const trail = ({ x, y }, points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");

// A handle of a drawing: dragged, or moved by the keys; to screen readers a slider. read() turns a place into a value, told()
// a value into the number that is read aloud, and next() says where the arrow keys go.
function handle(node, { label, min, max, step, digits = 2, told = (v) => v, next = (v, by) => v + by * step, plot: { svg, back }, read }, change) {
  let now = min;
  set(node, { role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": told(min), "aria-valuemax": told(max) });
  node.classList.add("grab");
  const apply = (value) => change(Number(Math.min(max, Math.max(min, Math.round(value / step) * step)).toFixed(6)));
  node.addEventListener("pointerdown", (event) => { event.preventDefault(); node.setPointerCapture(event.pointerId); node.focus(); });
  node.addEventListener("pointermove", (event) => {
    if (!node.hasPointerCapture(event.pointerId)) return;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    apply(read(...back(x, y)));
  });
  node.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[event.key];
    const end = { Home: min, End: max }[event.key];
    if (by === undefined && end === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    apply(end ?? next(now, by));
  });
  return (value) => {
    now = value;
    set(node, { "aria-valuenow": told(value).toFixed(digits), "aria-valuetext": number(told(value), digits) });
  };
}
