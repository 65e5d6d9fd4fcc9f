// The dot product of n pairs of signs: products and their running sum; bits, XOR, popcount and n − 2d.
const signs = { x: [...VALUES.x], w: [...VALUES.w] };
const n = signs.x.length;

const flip = (name) => (i) => { signs[name][i] *= -1; update(); };
const inputs = row("inputs x", n, { flip: flip("x"), word: "signs of the inputs" });
const weights = row("weights w", n, { flip: flip("w"), word: "signs of the weights" });
const products = row("products", n);
const sums = row("running sum", n, { note: h("span", {}, "sum ", shown("sum")) });
const bitsX = row("bits of x", n);
const bitsW = row("bits of w", n);
const xor = row("XOR", n, { note: h("span", {}, "ones d = ", shown("d")) });

function choose(w) {
  return () => {
    if (w === "random") for (const name of ["x", "w"]) signs[name] = signs[name].map(() => (Math.random() < 0.5 ? -1 : 1));
    else signs.w = signs.x.map((value) => w * value);
    update();
  };
}

const rows = h("div", {},
  inputs.node, weights.node,
  h("div", { class: "part" }, "With numbers: 16 multiplications, 15 additions"),
  products.node, sums.node,
  h("div", { class: "part" }, "With bits: one XOR and one popcount, for up to 64 pairs at once"),
  bitsX.node, bitsW.node, xor.node);
STAGE.append(rows,
  spoken("n − 2d = 16 − 2 · ", shown("d"), " = ", shown("bits"), ", and the sum of the products is ", shown("sum"), ". ",
    h("span", { class: "good", "data-value": "same" })),
  h("div", { class: "buttons" }, button("Make w equal to x", choose(1)), button("Make w opposite", choose(-1)),
    button("Random", choose("random"))));
columns(rows);

function update() {
  let sum = 0, d = 0;
  for (let i = 0; i < n; i++) {
    const [x, w] = [signs.x[i], signs.w[i]];
    const [a, b] = [x < 0 ? 1 : 0, w < 0 ? 1 : 0];
    for (const [line, name, value] of [[inputs, "input", x], [weights, "weight", w]]) {
      paint(line.cells[i], value);
      line.cells[i].setAttribute("aria-label", `${name} ${i}: ${value < 0 ? "minus" : "plus"} 1, flip`);
    }
    paint(products.cells[i], x * w);
    sum += x * w;
    d += a ^ b;
    sums.cells[i].classList.add("small");
    sums.cells[i].textContent = number(sum);
    for (const [line, bit] of [[bitsX, a], [bitsW, b], [xor, a ^ b]]) bitCell(line.cells[i], bit);
  }
  put("sum", number(sum));
  put("d", d);
  put("bits", number(n - 2 * d));
  put("same", sum === n - 2 * d ? "They agree." : "They differ.");
}

function bitCell(cell, bit) {
  cell.textContent = bit;
  cell.classList.toggle("neg", bit === 1);
  cell.classList.toggle("zero", bit === 0);
}

update();
