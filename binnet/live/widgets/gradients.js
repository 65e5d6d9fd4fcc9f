// Gradients of real weights by three rules, as arrows; weights and gradients are dragged.
const w = [...VALUES.w], g = [...VALUES.g], n = w.length;
const RULES = ["exact", "paper", "plain"];
let at = 3;

const sign = (value) => (value < 0 ? -1 : 1);
const inside = (i) => (Math.abs(w[i]) <= 1 ? 1 : 0);
const alpha = () => w.reduce((sum, value) => sum + Math.abs(value), 0) / n;
const along = () => w.reduce((sum, value, i) => sum + g[i] * sign(value), 0);
const gradient = (rule, i) => rule === "plain" ? g[i]
  : rule === "paper" ? g[i] * (1 / n + alpha() * inside(i))
  : (sign(w[i]) / n) * along() + alpha() * inside(i) * g[i];

const span = [-0.6, n - 0.4];
const top = plot(520, 170, span, [-1.6, 1.6], "The real weights", { margin: [12, 8, 8, 46] });
top.svg.append(h("rect", { x: top.x(span[0]), y: top.y(1), width: top.x(span[1]) - top.x(span[0]), height: top.y(-1) - top.y(1), class: "band" }));
axis(top, "y", [-1, 0, 1], span[0], "W", number);
const low = plot(520, 190, span, [-1, 1], "The gradients by three rules", { margin: [12, 8, 24, 46] });
axis(low, "y", [-1, -0.5, 0, 0.5, 1], span[0], "gradient", (v) => number(v, v % 1 ? 1 : 0));
for (const part of [top, low]) part.svg.classList.add("wide");
for (const part of [top, low]) part.svg.append(h("line", { x1: part.x(span[0]), x2: part.x(span[1]), y1: part.y(0), y2: part.y(0), class: "axis" }));

const marks = w.map((_, i) => h("rect", { class: "chosen", x: low.x(i - 0.45), y: low.y(1), width: low.x(0.9) - low.x(0), height: low.y(-1) - low.y(1) }));
const bars = w.map((_, i) => h("rect", { x: top.x(i) - 6, width: 12 }));
const arrows = RULES.map((rule) => w.map(() => h("path", { class: `arrow ${rule}` })));
const place = (rule, i) => low.x(i + { exact: -0.26, paper: 0, plain: 0.26 }[rule]);
const grips = (list, plotOf, word, bound, column, mark) => list.map((_, i) => {
  const node = h("circle", { r: 8, cx: column(i), class: mark, onfocus: () => { at = i; update(); } });
  const tell = handle(node, { label: `${word} ${i}`, min: -bound, max: bound, step: 0.05, plot: plotOf, read: (_, y) => y },
    (value) => { list[i] = value; at = i; update(); });
  return { node, tell };
});
const tips = grips(w, top, "weight", 1.5, (i) => top.x(i), "");
const ends = grips(g, low, "gradient g", 0.9, (i) => place("plain", i), "plain");
const numbers = w.map((_, i) => h("text", { x: low.x(i), y: low.y(-1) + 18, "text-anchor": "middle", class: "quiet" }, `W${i}`));
top.svg.append(...bars, ...tips.map(({ node }) => node));
low.svg.append(...marks, ...arrows.flat(), ...ends.map(({ node }) => node), ...numbers);

STAGE.append(top.svg,
  h("p", { class: "key" }, ...RULES.map((rule) => h("span", { class: rule }, rule))), low.svg,
  h("div", { class: "result", role: "status", "aria-live": "polite" }, "Weight ", shown("at"), ": ", h("ul", { class: "plain" },
    h("li", {}, "exact = (s/n) Σ g s + α m g = ", shown("share"), " + ", shown("own"), " = ", shown("exact")),
    h("li", {}, "paper = g (1/n + α m) = ", shown("paper")),
    h("li", {}, "plain = g = ", shown("plain"))), h("span", { "data-value": "why" })),
  h("div", { class: "buttons" },
    button("Make Σ g s zero, as behind a batch normalisation", () => {
      const share = along() / n;
      g.forEach((value, i) => (g[i] = value - share * sign(w[i])));
      update();
    }),
    button("Reset", () => { w.splice(0, n, ...VALUES.w); g.splice(0, n, ...VALUES.g); update(); })));

// An arrow from the zero line to a value; one that goes on beyond the plot ends in two tips.
function arrow(x, value) {
  const [zero, tip] = [low.y(0), low.y(Math.max(-1, Math.min(1, value)))];
  const head = Math.sign(zero - tip) * Math.min(6, Math.abs(zero - tip));
  const tips = Math.abs(value) > 1 ? [tip, tip + head] : [tip];
  return `M${x} ${zero}V${tip}` + tips.map((at) => `M${x - 4} ${at + head}L${x} ${at}L${x + 4} ${at + head}`).join("");
}

function update() {
  w.forEach((value, i) => {
    set(bars[i], { y: Math.min(top.y(0), top.y(value)), height: Math.abs(top.y(0) - top.y(value)), class: value < 0 ? "neg" : "pos" });
    set(tips[i].node, { cy: top.y(value) });
    tips[i].node.classList.toggle("neg", value < 0);
    tips[i].node.classList.toggle("pos", value >= 0);
    tips[i].tell(value);
    set(ends[i].node, { cy: low.y(g[i]) });
    ends[i].tell(g[i]);
    RULES.forEach((rule, r) => set(arrows[r][i], { d: arrow(place(rule, i), gradient(rule, i)) }));
    marks[i].classList.toggle("on", i === at);
  });
  put("at", `W${at} = ${number(w[at], 2)}`);
  put("share", number((sign(w[at]) / n) * along(), 3));
  put("own", number(alpha() * inside(at) * g[at], 3));
  for (const rule of RULES) put(rule, number(gradient(rule, at), 3));
  put("why", inside(at) ? `α is ${number(alpha(), 3)} and m is 1: W${at} is inside the window.`
    : `m is 0: W${at} is outside ±1, and exact moves it through α alone.`);
}

update();
