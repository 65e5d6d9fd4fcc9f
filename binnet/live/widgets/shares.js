// Bars of the time of a network by part, for binary layers that are s times faster, and the speed-up over s.
const NAMES = { first: "first layer", binary: "binary layers", shortcuts: "shortcuts", last: "last layer" };
const MOST = 64, HIGH = 14;
let network = Object.keys(VALUES.macs)[0], s = VALUES.s;
const parts = () => VALUES.macs[network];
const times = (at) => Object.fromEntries(Object.entries(parts()).map(([name, macs]) => [name, name === "binary" ? macs / at : macs]));
const sum = (of) => Object.values(of).reduce((total, value) => total + value, 0);
const faster = (at) => sum(parts()) / sum(times(at));

// Three bars: all in float, with binary layers on the same scale, and these enlarged.
const bars = plot(520, 200, [0, 1], [3, 0], "Bars of the time by part", { margin: [0, 0, 0, 0] });
bars.svg.classList.add("wide");
const rows = ["all layers in float", "binary layers s times faster", "the same, enlarged to the whole width"].map((title, i) => {
  const segments = Object.fromEntries(Object.keys(NAMES).map((name) => [name, h("rect", { class: `share ${name}`, y: bars.y(i) + 26, height: 34 })]));
  const words = Object.fromEntries(Object.keys(NAMES).map((name) => [name, h("text", { class: "on", y: bars.y(i) + 48, "text-anchor": "middle" })]));
  bars.svg.append(h("text", { class: "quiet", x: 0, y: bars.y(i) + 19 }, title), ...Object.values(segments), ...Object.values(words));
  return (of, whole) => {
    let from = 0;
    for (const name of Object.keys(NAMES)) {
      const length = (of[name] ?? 0) / whole;
      set(segments[name], { x: bars.x(from), width: bars.x(length) });
      set(words[name], { x: bars.x(from + length / 2) });
      words[name].textContent = length > 0.12 ? `${number((100 * of[name]) / sum(of))} %` : "";
      from += length;
    }
  };
});

const area = plot(520, 200, [1, MOST], [0, HIGH], "Speed-up of the network over that of its binary layers", { margin: [16, 10, 26, 34] });
area.svg.classList.add("wide");
axis(area, "x", [1, 16, 32, 48, 64], 0, "s");
axis(area, "y", [0, 4, 8, 12], 1, "network faster");
const curve = h("path", { class: "curve" });
const limit = h("line", { class: "dash", x1: area.x(1), x2: area.x(MOST) });
const bound = h("text", { class: "quiet", x: area.x(MOST), "text-anchor": "end" }, "limit 1 / r");
const spot = h("circle", { r: 9, class: "spot" });
const tell = handle(spot, { label: "s, on the curve", min: 1, max: MOST, step: 1, digits: 0, plot: area, read: (at) => at }, (value) => slide.set(value));
area.svg.append(limit, bound, curve, spot);

const slide = slider("speed-up s", { min: 1, max: MOST, step: 1, value: s, id: "s", write: (v) => `${v}×` }, (now) => { s = now; update(); });
const choices = Object.keys(VALUES.macs).map((name) => button(name, () => { network = name; update(); }, { "data-network": name }));
const lines = Object.fromEntries(Object.entries(NAMES).map(([name, word]) => [name, h("tr", {},
  h("th", { scope: "row", class: `share ${name}` }, word), h("td", {}, shown(`float-${name}`)), h("td", {}, shown(`binary-${name}`)))]));
STAGE.append(h("div", { class: "buttons", role: "group", "aria-label": "network" }, ...choices), bars.svg,
  h("table", { class: "shares" }, h("tr", {}, h("td"), h("th", { scope: "col" }, "of the time in float"), h("th", { scope: "col" }, "with binary layers")), ...Object.values(lines)),
  slide.node, area.svg,
  spoken("With binary layers ", shown("s"), " times faster, the network is ", shown("faster"), " times faster. The real layers are r = ", shown("r"),
    " of the work, so it is less than 1 / r = ", shown("limit"), " for any s; ", shown("reached"), " of that is reached."));

function update() {
  const [before, after, whole] = [parts(), times(s), sum(parts())];
  rows[0](before, whole);
  rows[1](after, whole);
  rows[2](after, sum(after));
  const r = (whole - before.binary) / whole;
  set(curve, { d: trail(area, Array.from({ length: 127 }, (_, i) => [1 + i / 2, faster(1 + i / 2)])) });
  set(limit, { y1: area.y(1 / r), y2: area.y(1 / r) });
  set(bound, { y: area.y(1 / r) - 5 });
  set(spot, { cx: area.x(s), cy: area.y(faster(s)) });
  tell(s);
  for (const [name, line] of Object.entries(lines)) {
    line.hidden = !(name in before);
    put(`float-${name}`, `${number((100 * (before[name] ?? 0)) / whole, 1)} %`);
    put(`binary-${name}`, `${number((100 * (after[name] ?? 0)) / sum(after), 1)} %`);
  }
  put("s", s);
  put("faster", number(faster(s), 2));
  put("r", `${number(100 * r, 1)} %`);
  put("limit", number(1 / r, 1));
  put("reached", `${number(100 * faster(s) * r)} %`);
  for (const choice of choices) choice.setAttribute("aria-pressed", choice.dataset.network === network);
}

update();
