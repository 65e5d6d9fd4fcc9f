// A real weight over the steps of a training, its sign, and the derivative that stands for that of the sign.
const RULES = {
  clip: { name: "1 within ±1 (the STE)", at: (r) => (Math.abs(r) <= 1 ? 1 : 0) },
  polynomial: { name: "2 − 2|r| (polynomial)", at: (r) => (Math.abs(r) <= 1 ? 2 - 2 * Math.abs(r) : 0) },
  printed: { name: "r, as the paper prints it", at: (r) => (Math.abs(r) <= 1 ? r : 0) },
};
const steps = VALUES.g.length;
let { start, rate } = VALUES, rule = "clip";

function path() {
  const weights = [start];
  for (const g of VALUES.g) weights.push(weights.at(-1) - rate * g * RULES[rule].at(weights.at(-1)));
  return weights;
}

const left = plot(340, 240, [0, steps], [-1.5, 1.5], "The real weight over the steps", { margin: [30, 12, 26, 34] });
left.svg.append(h("rect", { x: left.x(0), y: left.y(1), width: left.x(steps) - left.x(0), height: left.y(-1) - left.y(1), class: "band" }),
  h("text", { x: left.x(steps) - 4, y: left.y(1) + 14, "text-anchor": "end", class: "quiet" }, "window ±1"),
  h("line", { x1: left.x(0), x2: left.x(steps), y1: left.y(0), y2: left.y(0), class: "dash" }));
axis(left, "x", [0, 20, 40, 60], -1.5, "step");
axis(left, "y", [-1, 0, 1], 0, "W", number);
const strip = VALUES.g.map((_, t) => h("rect", { x: left.x(t), y: left.y(1.5) - 8, width: left.x(1) - left.x(0) + 0.3, height: 8 }));
const line = h("path", { class: "curve" });
const spot = h("circle", { r: 9, cx: left.x(0), class: "spot" });
const tell = handle(spot, { label: "weight before the first step", min: -1.5, max: 1.5, step: 0.05, plot: left, read: (_, y) => y },
  (value) => { start = value; update(); });
left.svg.append(h("text", { x: left.x(0), y: left.y(1.5) - 12, class: "quiet" }, "sign of W"), ...strip, line, spot);

const right = plot(340, 240, [-1.5, 1.5], [-1.2, 2.2], "The derivative of the sign over the real weight");
axis(right, "x", [-1, 0, 1], -1.2, "W", number);
axis(right, "y", [-1, 0, 1, 2], -1.5, "derivative", number);
const curve = h("path", { class: "curve" });
const here = h("circle", { r: 6, class: "spot" });
right.svg.append(h("line", { x1: right.x(-1.5), x2: right.x(1.5), y1: right.y(0), y2: right.y(0), class: "dash" }), curve, here);

const choices = Object.entries(RULES).map(([key, { name }]) => button(name, () => { rule = key; update(); }, { "data-rule": key }));
STAGE.append(h("div", { class: "buttons", role: "group", "aria-label": "derivative of the sign" }, ...choices),
  h("div", { class: "plots" }, left.svg, right.svg),
  slider("learning rate η", { min: 0.01, max: 0.2, step: 0.01, value: rate, id: "rate", write: (v) => number(v, 2) },
    (now) => { rate = now; update(); }).node,
  spoken(shown("flips"), " After ", steps, " steps W is ", shown("end"), ". ", h("span", { "data-value": "why" })));

function update() {
  const weights = path();
  set(line, { d: trail(left, weights.map((value, t) => [t, Math.max(-1.6, Math.min(1.6, value))])) });
  strip.forEach((part, t) => set(part, { class: weights[t + 1] < 0 ? "neg" : "pos" }));
  set(spot, { cy: left.y(start) });
  tell(start);
  const r = Array.from({ length: 301 }, (_, i) => -1.5 + i / 100);
  set(curve, { d: trail(right, r.map((value) => [value, RULES[rule].at(value)])) });
  set(here, { cx: right.x(start), cy: right.y(RULES[rule].at(start)) });
  for (const choice of choices) choice.setAttribute("aria-pressed", choice.dataset.rule === rule);

  const first = weights.findIndex((value) => value < 0 !== start < 0);
  put("flips", first < 0 ? "The sign never flips." : `The sign flips at step ${first}.`);
  put("end", number(weights.at(-1), 3));
  put("why", Math.abs(start) > 1 ? "Outside the window no gradient passes, so W stays where it is; binnet clamps weights to ±1."
    : rule === "printed" && start > 0 ? "A step shrinks with W, so W comes near zero and does not cross it: the factor r is a misprint."
    : rule === "printed" && start < 0 ? "The factor r turns the gradient round, so W rises although it should fall: a misprint."
    : weights.at(-1) === start ? "The derivative is 0 at this weight, so no gradient passes, and W stays where it is."
    : Math.abs(weights.at(-1)) > 1 ? "W has left the window, where no gradient passes; binnet clamps weights to ±1."
    : "The real weight adds the steps up, while the network sees only its sign.");
}

update();
