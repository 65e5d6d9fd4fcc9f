// z = γ (α (n − 2d) − μ) / σ + β over the count d, and the whole number at which its sign changes.
const { n, alpha } = VALUES;
const p = { ...VALUES.start };
// Rounded: sums of tenths leave some 1e-16 where z is 0, and a sign of their own with it.
const z = (d) => Math.round(1e9 * ((p.gamma * (alpha * (n - 2 * d) - p.mu)) / p.sigma + p.beta)) / 1e9;

const area = plot(520, 230, [0, n], [-6, 6], "z over the count d", { margin: [12, 10, 12, 34] });
area.svg.classList.add("wide");
axis(area, "y", [-6, -3, 0, 3, 6], 0, "z", number);
area.svg.append(h("line", { x1: area.x(0), x2: area.x(n), y1: area.y(0), y2: area.y(0), class: "axis" }),
  h("text", { x: area.x(n), y: area.y(0) - 6, "text-anchor": "end" }, "d"),
  ...[0, 8, 16, 24, 32].map((d) => h("text", { x: area.x(d), y: area.y(-6) + 10, "text-anchor": "middle", class: "quiet" }, d)));
const cut = h("line", { class: "level", y1: area.y(-5.6), y2: area.y(5.6) });
const spots = Array.from({ length: n + 1 }, (_, d) => h("circle", { r: 5, cx: area.x(d) }));
area.svg.append(cut, ...spots);

const SLIDERS = { gamma: ["scale γ", -2, 2, 0.1], beta: ["shift β", -2, 2, 0.1], mu: ["mean μ", -4, 4, 0.1], sigma: ["deviation σ", 0.5, 4, 0.1] };
STAGE.append(area.svg,
  ...Object.entries(SLIDERS).map(([key, [label, min, max, step]]) =>
    slider(label, { min, max, step, value: p[key], id: key, write: (v) => number(v, 1) }, (now) => { p[key] = now; update(); }).node),
  h("div", { class: "result", role: "status", "aria-live": "polite" }, "z = γ (α (n − 2d) − μ) / σ + β ", h("br"),
    "z = 0 at d = (n − (μ − β σ / γ) / α) / 2 = ", shown("zero"), h("br"), "The next bit is 1 exactly where ", shown("rule"), "."));

function update() {
  const negative = spots.map((_, d) => z(d) < 0);
  spots.forEach((spot, d) => set(spot, { cy: area.y(Math.max(-6, Math.min(6, z(d)))), class: negative[d] ? "neg" : "pos" }));
  const change = negative.findIndex((value, d) => d && value !== negative[d - 1]);
  set(cut, { x1: area.x(change - 0.5), x2: area.x(change - 0.5), visibility: change < 0 ? "hidden" : "visible" });
  put("zero", p.gamma ? number((n - (p.mu - (p.beta * p.sigma) / p.gamma) / alpha) / 2, 2) : "none, γ is 0");
  put("rule", change < 0 ? (negative[0] ? "d ≥ 0, always" : "d > 32, never") : negative[0] ? `d < ${change}` : `d ≥ ${change}`);
}

update();
