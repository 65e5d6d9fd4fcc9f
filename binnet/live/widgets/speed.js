// S over the number of channels (logarithmic), for a filter size, with the limit of the paper and that of vectors.
const LIMITS = { paper: 64, vector: VALUES.vector };
const last = Math.log2(VALUES.channels.at(-1));
let size = 3, channels = 256;

const S = (limit, c) => (limit * c * size * size) / (c * size * size + limit);
const area = plot(520, 260, [0, last], [0, 68], "S over the number of channels", { margin: [12, 10, 26, 34] });
area.svg.classList.add("wide");
axis(area, "x", [0, 2, 4, 6, 8, 10], 0, "channels", (v) => 2 ** v);
axis(area, "y", [0, 16, 32, 48, 64], 0, "S");
const curves = Object.fromEntries(Object.keys(LIMITS).map((name) => [name, h("path", { class: `curve ${name}` })]));
const spots = Object.fromEntries(Object.keys(LIMITS).map((name) => [name, h("circle", { r: 8, class: `spot ${name}` })]));
const line = h("line", { class: "dash" });
// A quarter of an octave, but at least one channel.
const next = (value, by) => {
  const [from, to] = [Math.round(2 ** value), Math.round(2 ** (value + by / 4))];
  return Math.log2(Math.max(1, to === from ? from + Math.sign(by) : to));
};
const tell = handle(spots.paper, { label: "channels, on the curve", min: 0, max: last, step: 0.0001, digits: 0,
  told: (value) => 2 ** value, next, plot: area, read: (x) => x }, (value) => length.set(Math.round(2 ** value)));
for (const [name, limit] of Object.entries(LIMITS)) {
  area.svg.append(h("line", { x1: area.x(0), x2: area.x(last), y1: area.y(limit), y2: area.y(limit), class: "dash" }));
}
area.svg.append(line, ...Object.values(curves), spots.vector, spots.paper);

const length = slider("input channels c", { min: 1, max: 1024, step: 1, value: channels, id: "channels" }, (now) => { channels = now; update(); });
const choices = Object.keys(VALUES.theory).map((k) => button(`${k}×${k}`, () => { size = Number(k); update(); }, { "data-size": k, "aria-label": `filter of ${k} by ${k}` }));
STAGE.append(h("div", { class: "buttons", role: "group", "aria-label": "size of the filter" }, ...choices),
  h("p", { class: "key" }, h("span", { class: "exact" }, "the paper's count, L = 64"), h("span", { class: "paper" }, `vectors on both sides, L = ${number(VALUES.vector, 1)}`)),
  area.svg, length.node,
  spoken(shown("taps"), " taps: S = ", shown("paper"), " by the paper's count, and ", shown("vector"), " where both sides use vectors."));

function update() {
  for (const [name, limit] of Object.entries(LIMITS)) {
    set(curves[name], { d: trail(area, Array.from({ length: 101 }, (_, i) => [(i * last) / 100, S(limit, 2 ** ((i * last) / 100))])) });
    set(spots[name], { cx: area.x(Math.log2(channels)), cy: area.y(S(limit, channels)) });
    put(name, number(S(limit, channels), 2));
  }
  set(line, { x1: area.x(Math.log2(channels)), x2: area.x(Math.log2(channels)), y1: area.y(0), y2: area.y(64) });
  put("taps", channels * size * size);
  tell(Math.log2(channels));
  for (const choice of choices) choice.setAttribute("aria-pressed", Number(choice.dataset.size) === size);
}

update();
