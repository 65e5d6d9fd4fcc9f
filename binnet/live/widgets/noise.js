// The sign averaged over uniform noise on [−w, w], and the slope of the average beside the straight-through estimator.
let { w, x } = VALUES;
const TOP = 4; // of the right plot; steeper slopes leave it
const mean = (at) => Math.max(-1, Math.min(1, at / w));
const slope = (at) => (Math.abs(at) <= w ? 1 / w : 0);

const left = plot(340, 260, [-4, 4], [-1.9, 1.3], "The sign, and its average over the noise", { margin: [8, 12, 26, 34] });
axis(left, "x", [-4, -2, 0, 2, 4], -1.9, "x", number);
axis(left, "y", [-1, 0, 1], -4, "", number);
const average = h("path", { class: "curve" });
const cloud = { neg: h("rect", { class: "neg", height: 12 }), pos: h("rect", { class: "pos", height: 12 }) };
const fall = h("line", { class: "dash" });
const spot = h("circle", { r: 9, class: "spot" });
const tell = handle(spot, { label: "x, on the average", min: -2, max: 2, step: 0.05, plot: left, read: (at) => at }, (value) => place.set(value));
for (const part of Object.values(cloud)) set(part, { y: left.y(-1.45) - 6 });
left.svg.append(h("line", { x1: left.x(0), x2: left.x(0), y1: left.y(-1.75), y2: left.y(-1), class: "dash" }),
  h("path", { class: "dash", fill: "none", d: trail(left, [[-4, -1], [0, -1], [0, 1], [4, 1]]) }),
  ...Object.values(cloud), h("text", { x: left.x(-4) + 4, y: left.y(-1.2), class: "quiet" }, "x + u"), fall, average, spot);

const right = plot(340, 260, [-2, 2], [0, TOP], "The slope of the average", { margin: [8, 12, 26, 34] });
axis(right, "x", [-2, -1, 0, 1, 2], 0, "x", number);
axis(right, "y", [0, 1, 2, 3, 4], -2, "slope", number);
const box = h("path", { class: "curve" });
const here = h("circle", { r: 6, class: "spot" });
const beyond = h("text", { "text-anchor": "middle", x: right.x(0) + 62, y: right.y(TOP) + 20 });
right.svg.append(h("path", { class: "dash", fill: "none", d: trail(right, VALUES.ste.x.map((at, i) => [at, VALUES.ste.slope[i]])) }), box, here, beyond);

const place = slider("place x", { min: -2, max: 2, step: 0.05, value: x, id: "x", write: (v) => number(v, 2) }, (now) => { x = now; update(); });
STAGE.append(h("div", { class: "plots" }, left.svg, right.svg),
  slider("noise width w", { min: 0.05, max: 2, step: 0.05, value: w, id: "w", write: (v) => number(v, 2) }, (now) => { w = now; update(); }).node,
  place.node,
  h("div", { class: "result", role: "status", "aria-live": "polite" }, "sign(x + u) is +1 in ", shown("share"), " of all cases: the average is clip(x / w, −1, 1) = ", shown("mean"), h("br"),
    "Its slope is ", shown("slope"), "; the STE is ", shown("ste"), ". ", h("span", { "data-value": "why" })));

function update() {
  set(average, { d: trail(left, [[-4, -1], [-w, -1], [w, 1], [4, 1]]) });
  const [from, to] = [x - w, x + w];
  const draw = (part, a, b) => {
    const [low, high] = [left.x(a), left.x(b)];
    set(part, { x: low, width: Math.max(0, high - low) });
  };
  draw(cloud.neg, from, Math.min(to, 0));
  draw(cloud.pos, Math.max(from, 0), to);
  set(fall, { x1: left.x(x), x2: left.x(x), y1: left.y(-1.45), y2: left.y(mean(x)) });
  set(spot, { cx: left.x(x), cy: left.y(mean(x)) });
  tell(x);
  const height = Math.min(TOP, 1 / w);
  set(box, { d: trail(right, [[-2, 0], [-w, 0], [-w, height]]) + (1 / w > TOP ? "M" : "L") + trail(right, [[w, height], [w, 0], [2, 0]]).slice(1) });
  set(here, { cx: right.x(x), cy: right.y(Math.min(TOP, slope(x))) });
  beyond.textContent = 1 / w > TOP ? `up to ${number(1 / w, 2)}` : "";

  put("share", `${number(50 + 50 * mean(x), 1)} %`);
  put("mean", number(mean(x), 2));
  put("slope", number(slope(x), 2));
  put("ste", Math.abs(x) <= 1 ? "1" : "0");
  put("why", w === 1 ? "With w = 1 the slope is the STE, everywhere: 1 for |x| ≤ 1, and 0 outside."
    : w <= 0.2 ? "Towards w = 0 the average becomes the sign itself: the slope is 0 nearly everywhere, and a spike of height 1 / w at 0."
    : "The slope is 1 / w for |x| < w, and 0 outside (at ±w, where it has none, 1 / w is shown); its area is always 2, the height of the jump from −1 to +1.");
}

update();
