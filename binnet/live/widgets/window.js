// A window slides over an image; one output pixel is the sum of nine products. Then the operations of a whole layer.
const { image, weight } = VALUES;
const SIDE = 32, k = weight.length;
let stride = 1, at = [1, 2], channels = 256, filters = 256;
const last = () => Math.floor((image.length - k) / stride);
const sum = (r, c) => weight.flat().reduce((total, v, i) => total + v * image[r * stride + Math.floor(i / k)][c * stride + (i % k)], 0);

const svg = h("svg", { viewBox: "0 0 510 222", role: "img", "aria-label": "image, filter and output as grids of numbers", class: "wide" });

// A grid of numbers at a place; pick(row, column) is called where the pointer is.
function grid(title, left, rows, pick) {
  const cells = [];
  svg.append(h("text", { x: left, y: 16, class: "quiet" }, title));
  for (let r = 0; r < rows; r++) for (let c = 0; c < rows; c++) {
    const [x, y] = [left + c * SIDE, 26 + r * SIDE];
    const box = h("rect", { x, y, width: SIDE - 2, height: SIDE - 2, rx: 3, class: "box" });
    const text = h("text", { x: x + SIDE / 2 - 1, y: y + SIDE / 2 + 4, "text-anchor": "middle" });
    const group = h("g", {}, box, text);
    if (pick) for (const kind of ["pointerdown", "pointermove"]) group.addEventListener(kind, () => pick(r, c));
    svg.append(group);
    cells.push({ group, box, text });
  }
  return cells;
}

const input = grid("image", 2, 6, (r, c) => choose(Math.round((r - 1) / stride), Math.round((c - 1) / stride)));
const filter = grid("filter", 232, 3);
const output = grid("output", 366, 4, choose);
const frame = h("rect", { width: k * SIDE + 2, height: k * SIDE + 2, class: "pane" });
const mark = h("rect", { width: SIDE + 2, height: SIDE + 2, class: "pane" });
svg.append(frame, mark);

const place = (label, i) => slider(label, { min: 0, max: 3, step: 1, value: at[i], id: label }, (now) => { at[i] = Math.min(now, last()); update(); });
const rowSlider = place("row", 0), colSlider = place("column", 1);
const size = (label, value, change) => slider(label, { min: 1, max: 512, step: 1, value, id: label }, (now) => { change(now); update(); }).node;
const choices = [1, 2].map((s) => button(`stride ${s}`, () => { stride = s; choose(...at); }, { "data-stride": s }));

STAGE.append(h("div", { class: "buttons", role: "group", "aria-label": "stride" }, ...choices), svg, rowSlider.node, colSlider.node,
  spoken(shown("products"), " = ", shown("sum")),
  h("div", { class: "part" }, "A layer of 14×14 output pixels, 3×3 filters"),
  size("channels", channels, (now) => { channels = now; }), size("filters", filters, (now) => { filters = now; }),
  spoken("14 · 14 · 9 · channels · filters = ", shown("macs"), " multiply-adds, or ", shown("words"), " words of signs: ", shown("ratio"),
    " times fewer."));

function choose(r, c) {
  at = [r, c].map((value) => Math.min(last(), Math.max(0, value)));
  const [row_, col] = at;
  for (const { node } of [rowSlider, colSlider]) node.querySelector("input").max = last();
  rowSlider.set(row_);
  colSlider.set(col);
}

function update() {
  at = at.map((value) => Math.min(value, last()));
  const [r, c] = at;
  image.flat().forEach((value, i) => { input[i].text.textContent = number(value); });
  weight.flat().forEach((value, i) => { filter[i].text.textContent = number(value); });
  output.forEach(({ group, text }, i) => {
    const [y, x] = [Math.floor(i / 4), i % 4];
    const there = y <= last() && x <= last();
    group.setAttribute("visibility", there ? "visible" : "hidden");
    text.textContent = there ? number(sum(y, x)) : "";
  });
  set(frame, { x: c * stride * SIDE, y: 24 + r * stride * SIDE });
  set(mark, { x: 364 + c * SIDE, y: 24 + r * SIDE });
  const signedTerm = (v) => (v < 0 ? `(${number(v)})` : number(v));
  put("products", weight.flat().map((v, i) =>
    `${signedTerm(image[r * stride + Math.floor(i / k)][c * stride + (i % k)])}·${signedTerm(v)}`).join(" + "));
  put("sum", number(sum(r, c)));
  for (const choice of choices) choice.setAttribute("aria-pressed", Number(choice.dataset.stride) === stride);

  const outputs = 14 * 14 * filters, taps = 9 * channels, words = Math.ceil(taps / 64);
  put("macs", (outputs * taps).toLocaleString("en"));
  put("words", (outputs * words).toLocaleString("en"));
  put("ratio", number(taps / words, 1));
}

update();
