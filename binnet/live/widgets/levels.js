// The staircase q_k, one number on it, and its level as a sum of signs.
let { k, x } = VALUES;
// Rounded to 9 digits first: a half may be 1e-16 too small.
const index = (value) => Math.floor(Number(((2 ** k - 1) * (Math.min(1, Math.max(-1, value)) + 1) / 2 + 0.5).toFixed(9)));
const level = (m) => (2 * m) / (2 ** k - 1) - 1;

const area = plot(520, 260, [-1.25, 1.25], [-1.15, 1.15], "The staircase of levels over x", { margin: [12, 10, 26, 40] });
area.svg.classList.add("wide");
axis(area, "x", [-1, -0.5, 0, 0.5, 1], -1.15, "x", (v) => number(v, v % 1 ? 1 : 0));
axis(area, "y", [-1, 0, 1], -1.25, "q(x)", number);
const stairs = h("path", { class: "curve" });
const fall = h("path", { class: "dash", fill: "none" });
const spot = h("circle", { r: 9, class: "spot" });
const tell = handle(spot, { label: "number x", min: -1.2, max: 1.2, step: 0.01, plot: area, read: (at) => at }, (value) => { x = value; update(); });
area.svg.append(h("path", { class: "dash", d: trail(area, [[-1, -1], [1, 1]]) }), stairs, fall, spot);

STAGE.append(slider("bits k", { min: 1, max: VALUES.levels.length, step: 1, value: k, id: "k" }, (now) => { k = now; update(); }).node, area.svg,
  h("div", { class: "result", role: "status", "aria-live": "polite" }, "q(", shown("x"), ") = ", shown("q"), h("br"),
    "= (", shown("signs"), ") / ", shown("steps"), ", level ", shown("index"), " of 0 … ", shown("steps"), h("br"),
    "A dot product of two such rows takes ", shown("pairs"), " popcounts for each 64 pairs."));

function update() {
  const [steps, m] = [2 ** k - 1, index(x)];
  const corners = [[-1.25, -1]];
  for (let i = 0; i < steps; i++) {
    const edge = (2 * i + 1) / steps - 1;
    corners.push([edge, level(i)], [edge, level(i + 1)]);
  }
  set(stairs, { d: trail(area, [...corners, [1.25, 1]]) });
  set(fall, { d: trail(area, [[x, -1.15], [x, level(m)], [-1.25, level(m)]]) });
  set(spot, { cx: area.x(x), cy: area.y(level(m)) });
  tell(x);
  put("x", number(x, 2));
  put("q", number(level(m), 3));
  put("signs", Array.from({ length: k }, (_, i) => k - 1 - i).map((i) => `${m & (1 << i) ? "+" : "−"}${2 ** i}`).join(" "));
  put("steps", steps);
  put("index", m);
  put("pairs", `${k} · ${k} = ${k * k}`);
}

update();
