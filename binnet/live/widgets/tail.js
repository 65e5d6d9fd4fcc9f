// Two words of which n bits are used: XOR and XNOR, their counts, and the dot product by right and by wrong formulas.
const bits = { a: [...VALUES.a], b: [...VALUES.b] };
const size = bits.a.length;
let n = VALUES.n;

const flip = (name) => (i) => { if (i < n) { bits[name][i] ^= 1; update(); } };
const a = row("a", size, { flip: flip("a"), word: "bits of a" });
const b = row("b", size, { flip: flip("b"), word: "bits of b" });
const xor = row("a XOR b", size, { note: h("span", {}, "ones: ", shown("differ")) });
const xnor = row("a XNOR b", size, { note: h("span", {}, "ones: ", shown("agree")) });
const rows = h("div", {}, a.node, b.node, xor.node, xnor.node);

const length = slider("n, signs in use", { min: 1, max: size, step: 1, value: n, id: "n" }, (now) => { n = now; update(); });
const formulas = [
  ["right", "n − 2 · popcount(XOR)"],
  ["masked", "2 · popcount(XNOR AND mask) − n"],
  ["xnor", "2 · popcount(XNOR) − n"],
  ["full", "16 − 2 · popcount(XOR)"],
];
const lines = formulas.map(([name, words]) => h("li", { "data-line": name }, `${words} = `,
  h("span", { "data-value": `${name}-sum` }), " = ", shown(name), ", ", h("span", { "data-value": `${name}-word` })));
STAGE.append(length.node, rows, h("div", { class: "result", role: "status", "aria-live": "polite" }, h("ul", { class: "plain" }, ...lines)));
columns(rows);

function update() {
  let differ = 0, agree = 0;
  for (let i = 0; i < size; i++) {
    const tail = i >= n;
    const [p, q] = tail ? [0, 0] : [bits.a[i], bits.b[i]];
    const x = p ^ q;
    differ += x;
    agree += 1 - x;
    [[a, p], [b, q], [xor, x], [xnor, 1 - x]].forEach(([line, bit]) => {
      const cell = line.cells[i];
      cell.textContent = bit;
      cell.classList.toggle("tail", tail);
      cell.classList.toggle("neg", bit === 1 && !tail);
      cell.classList.toggle("zero", bit === 0 && !tail);
      cell.classList.toggle("bad", bit === 1 && tail);
    });
    for (const [line, name, bit] of [[a, "a", p], [b, "b", q]]) {
      line.cells[i].disabled = tail;
      line.cells[i].setAttribute("aria-label", `bit ${i} of ${name}: ${bit}${tail ? ", tail" : ", flip"}`);
    }
  }
  for (const line of [a, b]) {
    if (line.cells.every((cell, i) => cell.tabIndex < 0 || i >= n)) line.cells.forEach((cell, i) => (cell.tabIndex = i ? -1 : 0));
  }
  const tail = size - n;
  put("differ", differ);
  put("agree", agree);
  result("right", `${n} − 2 · ${differ}`, n - 2 * differ, 0);
  result("masked", `2 · ${agree - tail} − ${n}`, 2 * (agree - tail) - n, 0);
  result("xnor", `2 · ${agree} − ${n}`, 2 * agree - n, 2 * tail);
  result("full", `16 − 2 · ${differ}`, size - 2 * differ, tail);
}

function result(name, sum, value, excess) {
  put(`${name}-sum`, sum);
  put(name, number(value));
  put(`${name}-word`, excess ? `wrong: ${excess} too many` : "right");
  const line = STAGE.querySelector(`[data-line=${name}]`);
  line.classList.toggle("good", !excess);
  line.classList.toggle("bad", excess > 0);
}

update();
