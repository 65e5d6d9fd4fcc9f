// A patch of values in tenths; its signs pooled, and its pooled values with their signs.
const SIDE = 4, HALF = 2, MOST = 20;
let patch = [...VALUES.patch];
const sign = (value) => (value < 0 ? -1 : 1);
const plus = (list) => list.filter((value) => value > 0).length / list.length;
const entropy = (p) => (p === 0 || p === 1 ? 0 : -p * Math.log2(p) - (1 - p) * Math.log2(1 - p));
const pooled = (list) => Array.from({ length: HALF * HALF }, (_, i) => {
  const [row, col] = [2 * Math.floor(i / HALF), 2 * (i % HALF)];
  return Math.max(...[0, 1].flatMap((down) => [0, 1].map((over) => list[(row + down) * SIDE + col + over])));
});

// A square of cells, each with a bar from its middle line and a number; update(list, write) draws values of ±20.
function square(side, label) {
  const size = 200 / side;
  const area = plot(200, 200, [0, side], [-side, 0], label, { margin: [0, 0, 0, 0] });
  const cells = Array.from({ length: side * side }, (_, i) => {
    const [row, col] = [Math.floor(i / side), i % side];
    const fill = h("rect", { x: col * size + 2, width: size - 4 });
    const word = h("text", { x: (col + 0.5) * size, "text-anchor": "middle", "dominant-baseline": "central", style: `font-size: ${8 + size / 7}px` });
    const node = h("g", {}, h("rect", { class: "box", x: col * size + 1, y: row * size + 1, width: size - 2, height: size - 2 }), fill, word);
    return { node, fill, word, middle: (row + 0.5) * size };
  });
  area.svg.append(...cells.map(({ node }) => node));
  const update = (list, write, full) => list.forEach((value, i) => {
    const { fill, word, middle } = cells[i];
    const long = full ? size - 4 : (Math.abs(value) / MOST) * (size / 2 - 2);
    set(fill, { class: sign(value) < 0 ? "neg" : "pos", height: Math.max(long, 1), y: full ? middle - size / 2 + 2 : value < 0 ? middle : middle - long });
    set(word, { class: full ? "on" : null, y: full ? middle : middle + (value < 0 ? -size : size) / 4 }); // opposite to the bar
    word.textContent = write(value);
  });
  return { area, cells, update };
}

const tenths = (value) => signed(value / 10, 1);
const word = (value) => (value < 0 ? "−1" : "+1");
const first = square(SIDE, "The patch of real values");
const signs = square(SIDE, "The signs of the patch"), most = square(HALF, "The largest sign of each window");
const largest = square(HALF, "The largest value of each window"), kept = square(HALF, "The signs of the largest values, their mean subtracted");
const tells = first.cells.map(({ node }, i) => {
  const [row, col] = [Math.floor(i / SIDE), i % SIDE];
  const change = (value) => { patch[i] = value; update(); };
  let before;
  // Up from the middle of the cell is positive.
  const tell = handle(node, { label: `row ${row + 1}, column ${col + 1}`, min: -MOST / 10, max: MOST / 10, step: 0.1, digits: 1, plot: first.area,
    read: (_, y) => 4 * (y + row + 0.5) }, (value) => change(Math.round(10 * value)));
  const flip = () => change(-patch[i] || -1);
  set(node, { onpointerdown: () => (before = patch[i]), onclick: () => { if (patch[i] === before) flip(); },
    onkeydown: (event) => { if (event.key === " " || event.key === "Enter") { event.preventDefault(); flip(); } } });
  return tell;
});

const titled = (title, { area }, name) => h("div", {}, h("div", { class: "name" }, title, h("br"), shown(name)), area.svg);
STAGE.append(h("div", { class: "buttons" },
    button("Random patch", () => {
      const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
      patch = patch.map(() => Math.max(-MOST, Math.min(MOST, Math.round(10 * normal()))));
      update();
    }),
    button("One +, all others −", () => { patch = patch.map((value, i) => (i === 5 ? 1 : -1) * (Math.abs(value) || 1)); update(); }),
    button("Reset", () => { patch = [...VALUES.patch]; update(); })),
  h("div", { class: "orders" },
    titled("patch", first, "first"),
    h("div", {}, h("p", { class: "part" }, "C-B-A-P: sign, then pool"), h("div", { class: "pair" }, titled("signs", signs, "signs"), titled("largest of 2×2", most, "most"))),
    h("div", {}, h("p", { class: "part" }, "B-A-C-P: pool, then sign"), h("div", { class: "pair" }, titled("largest of 2×2", largest, "mean"), titled("signs, mean subtracted", kept, "kept")))),
  h("div", { class: "result", role: "status", "aria-live": "polite" },
    "C-B-A-P: ", shown("most"), ", that is ", shown("bits-most"), " bits a value. B-A-C-P: ", shown("kept"), ", that is ", shown("bits-kept"), " bits a value.", h("br"),
    "In 4,096 random patches: ", ...[" before, ", " by C-B-A-P, ", " by B-A-C-P."].flatMap((end, i) => [shown(`all-${i}`), end])));

function update() {
  const a = pooled(patch.map(sign)), b = pooled(patch);
  const sum = b.reduce((total, value) => total + value, 0);
  const c = b.map((value) => sign(HALF * HALF * value - sum)); // whole numbers, so that a difference of 0 is exact
  first.update(patch, tenths);
  signs.update(patch.map(sign), word, true);
  most.update(a, word, true);
  largest.update(b, tenths);
  kept.update(c, word, true);
  tells.forEach((tell, i) => tell(patch[i] / 10));

  const share = (list) => `${number(100 * plus(list))} % are +1`;
  put("first", "real values");
  put("signs", share(patch.map(sign)));
  put("most", share(a));
  put("mean", `mean ${signed(sum / (10 * HALF * HALF), 3)}`);
  put("kept", share(c));
  put("bits-most", number(entropy(plus(a)), 2));
  put("bits-kept", number(entropy(plus(c)), 2));
  VALUES.shares.forEach((p, i) => put(`all-${i}`, `${number(100 * p, 1)} %`));
}

update();
