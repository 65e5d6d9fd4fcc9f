// Weights, their signs times α, and the parabola J(α); weights and α are dragged.
const w = [...VALUES.w];
let alpha = VALUES.start;
const sign = (value) => (value < 0 ? -1 : 1);
const J = (a) => w.reduce((sum, value) => sum + (value - a * sign(value)) ** 2, 0);
const mean = () => w.reduce((sum, value) => sum + Math.abs(value), 0) / w.length;

const left = plot(340, 230, [-0.6, w.length - 0.2], [-2, 2], "The weights and the levels α and −α", { margin: [14, 12, 14, 34] });
axis(left, "y", [-2, -1, 0, 1, 2], -0.6, "W", number);
left.svg.append(h("line", { x1: left.x(-0.6), x2: left.x(w.length - 0.2), y1: left.y(0), y2: left.y(0), class: "axis" }));
const levels = [1, -1].map(() => h("line", { x1: left.x(-0.6), x2: left.x(w.length - 0.2), class: "level" }));
const errors = w.map(() => h("line", { class: "wrong" }));
const bars = w.map(() => h("rect", { width: 14 }));
const name = h("text", { x: left.x(w.length - 0.2) - 22, "text-anchor": "end" }, "α");
const tips = w.map((_, i) => {
  const tip = h("circle", { r: 9, cx: left.x(i) });
  const tell = handle(tip, { label: `weight ${i}`, min: -2, max: 2, step: 0.05, plot: left, read: (_, y) => y }, (value) => {
    w[i] = value;
    update();
  });
  return { tip, tell };
});
const grip = h("circle", { r: 9, cx: left.x(w.length - 0.2) - 8, class: "spot" });
const toAlpha = (value) => { alpha = value; update(); };
const tellGrip = handle(grip, { label: "scale alpha, among the weights", min: 0, max: 2, step: 0.01, plot: left, read: (_, y) => y }, toAlpha);
left.svg.append(...bars, ...levels, ...errors, name, ...tips.map(({ tip }) => tip), grip);

const right = plot(340, 230, [0, 2], [0, 1], "The distance J over α");
axis(right, "x", [0, 0.5, 1, 1.5, 2], 0, "α", number0);
axis(right, "y", [0, 1], 0, "J", () => "");
const curve = h("path", { class: "curve" });
const best = h("line", { class: "dash" });
const bestName = h("text", { class: "quiet", "text-anchor": "middle", y: right.y(1) - 2 }, "mean of |W|");
const spot = h("circle", { r: 9, class: "spot" });
const tellSpot = handle(spot, { label: "scale alpha, on the curve", min: 0, max: 2, step: 0.01, plot: right, read: (x) => x }, toAlpha);
right.svg.append(curve, best, bestName, spot);

STAGE.append(h("div", { class: "plots" }, left.svg, right.svg),
  spoken("J = ", shown("j"), " with α = ", shown("alpha"), ". The least distance is ", shown("least"), ", where α is the mean of |W|, ",
    shown("mean"), "."),
  h("div", { class: "buttons" }, button("Set α to the mean of |W|", () => { alpha = mean(); update(); }),
    button("Reset", () => { w.splice(0, w.length, ...VALUES.w); alpha = VALUES.start; update(); })));

function number0(value) { return number(value, value % 1 ? 1 : 0); }

function update() {
  w.forEach((value, i) => {
    const [zero, tip] = [left.y(0), left.y(value)];
    set(bars[i], { x: left.x(i) - 7, y: Math.min(zero, tip), height: Math.abs(zero - tip), class: value < 0 ? "neg" : "pos" });
    set(errors[i], { x1: left.x(i), x2: left.x(i), y1: tip, y2: left.y(alpha * sign(value)) });
    set(tips[i].tip, { cy: tip });
    tips[i].tip.classList.toggle("neg", value < 0);
    tips[i].tip.classList.toggle("pos", value >= 0);
    tips[i].tell(value);
  });
  levels.forEach((line, i) => set(line, { y1: left.y(i ? -alpha : alpha), y2: left.y(i ? -alpha : alpha) }));
  set(grip, { cy: left.y(alpha) });
  set(name, { y: left.y(alpha) - 5 });
  tellGrip(alpha);

  const [top, m] = [1.15 * Math.max(J(0), J(2), 0.1), mean()];
  set(curve, { d: trail(right, Array.from({ length: 81 }, (_, i) => [i / 40, J(i / 40) / top])) });
  set(best, { x1: right.x(m), x2: right.x(m), y1: right.y(0), y2: right.y(0.97) });
  set(bestName, { x: Math.min(300, Math.max(70, right.x(m))) });
  set(spot, { cx: right.x(alpha), cy: right.y(J(alpha) / top) });
  tellSpot(alpha);
  for (const [name, value] of [["j", J(alpha)], ["alpha", alpha], ["least", J(m)], ["mean", m]]) put(name, number(value, 3));
}

update();
