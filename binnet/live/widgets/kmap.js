// A photograph, A, K and the output; one output pixel is chosen, and its window is outlined.
const { side, alpha, dots, a: A, k: K, exact } = VALUES;
const [inRows, inCols, rows, cols] = [A.length, A[0].length, K.length, K[0].length];
const outputs = {
  with: { name: "with K", at: (r, c) => alpha * K[r][c] * dots[r][c] },
  without: { name: "without K", at: (r, c) => alpha * dots[r][c] },
  exact: { name: "exact, real numbers", at: (r, c) => exact[r][c] },
};
let [row_, col] = VALUES.start, output = "with";

// A map of squares; offset places output pixels over the middle of their windows.
function map(title, height, width, fill, outline) {
  const squares = [];
  for (let r = 0; r < height; r++) for (let c = 0; c < width; c++) squares.push(h("rect", { x: c, y: r, width: 1, height: 1, "shape-rendering": "crispEdges", ...fill(r, c) }));
  const frame = h("rect", { width: outline, height: outline, class: "frame" });
  const svg = h("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, class: "pick" }, ...squares, frame);
  const pick = (event) => {
    if (event.type === "pointermove" && event.pointerType === "touch") return;
    const box = svg.getBoundingClientRect();
    const off = outline > 1 ? outline / 2 : 0.5;
    choose(Math.round(((event.clientY - box.top) / box.height) * height - off), Math.round(((event.clientX - box.left) / box.width) * width - off));
  };
  for (const kind of ["pointerdown", "pointermove"]) svg.addEventListener(kind, pick);
  return { node: h("div", {}, h("div", { class: "name" }, title), svg), squares, frame };
}

const most = (list) => Math.max(...list.flat().map(Math.abs));
const strength = (list, limit) => (r, c) => ({ fill: "currentColor", "fill-opacity": (list[r][c] / limit).toFixed(3) });
const photo = map("input and window", inRows, inCols, (r, c) => ({ fill: VALUES.colours[r * inCols + c] }), side);
const mapA = map("A, mean of |I|", inRows, inCols, strength(A, most(A)), side);
const mapK = map("K, mean of A", rows, cols, strength(K, most(A)), 1);
const mapY = map("output", rows, cols, () => ({}), 1);

const rowSlider = slider("row", { min: 0, max: rows - 1, step: 1, value: row_, id: "row" }, (now) => { row_ = now; update(); });
const colSlider = slider("column", { min: 0, max: cols - 1, step: 1, value: col, id: "col" }, (now) => { col = now; update(); });
const choices = Object.entries(outputs).map(([key, { name }]) => button(name, () => { output = key; draw(); }, { "data-output": key }));

STAGE.append(h("div", { class: "buttons", role: "group", "aria-label": "output" }, ...choices),
  h("div", { class: "maps" }, photo.node, mapA.node, mapK.node, mapY.node),
  rowSlider.node, colSlider.node,
  spoken("K is the mean of 16 values of A: ", shown("k"), ". With K: α · K · dot = ", shown("factors"), " = ", shown("with"),
    "; without: ", shown("without"), "; exact: ", shown("exact"), "."),
  h("p", {}, "Over this whole map, the correlation with the exact output is ", shown("near-with"), " with K and ", shown("near-without"), " without."));

function choose(r, c) {
  row_ = Math.min(rows - 1, Math.max(0, r));
  col = Math.min(cols - 1, Math.max(0, c));
  rowSlider.set(row_);
  colSlider.set(col);
}

function draw() {
  const { name, at } = outputs[output];
  const all = K.map((line, r) => line.map((_, c) => at(r, c)));
  const limit = most(all);
  mapY.squares.forEach((square, i) => {
    const value = all[Math.floor(i / cols)][i % cols];
    set(square, { class: value < 0 ? "neg" : "pos", "fill-opacity": (Math.abs(value) / limit).toFixed(3) });
  });
  mapY.node.querySelector(".name").textContent = `output ${name}`;
  for (const choice of choices) choice.setAttribute("aria-pressed", choice.dataset.output === output);
}

function update() {
  for (const { frame } of [photo, mapA, mapK, mapY]) set(frame, { x: col, y: row_ });
  put("k", number(K[row_][col], 3));
  put("factors", `${number(alpha, 5)} · ${number(K[row_][col], 5)} · ${number(dots[row_][col])}`);
  for (const [key, { at }] of Object.entries(outputs)) put(key, number(at(row_, col), 3));
}

for (const [key, value] of Object.entries(VALUES.correlation)) put(`near-${key}`, number(value, 3));
draw();
update();
