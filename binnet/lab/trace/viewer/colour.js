// Colours of maps. Numbers with a sign have matplotlib's PuOr, as in the documentation: orange below zero, violet above.

const isDark = () => document.documentElement.dataset.theme === "dark";
const RAMPS = {
  diverging: [
    [127, 59, 8], [179, 88, 6], [224, 130, 20], [253, 184, 99], [254, 224, 182], [247, 247, 247],
    [216, 218, 235], [178, 171, 210], [128, 115, 172], [84, 39, 136], [45, 0, 75],
  ],
  sequential: [[248, 250, 251], [157, 205, 200], [56, 133, 141], [10, 62, 84]],
  "sequential, dark": [[24, 31, 39], [28, 88, 104], [67, 157, 152], [208, 244, 228]],
};
const DIMMED = 0.72; // share of the brightness of PuOr in the dark theme, where its white would glare

const COLOURS = new Map(); // of the style sheet, looked up once for each theme
document.addEventListener("theme", () => COLOURS.clear());

function cssColour(name) {
  if (!COLOURS.has(name)) COLOURS.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return COLOURS.get(name);
}

// The colour of t in [0, 1] on a ramp.
function onRamp(kind, t) {
  const stops = RAMPS[isDark() && `${kind}, dark` in RAMPS ? `${kind}, dark` : kind];
  const factor = isDark() && kind === "diverging" ? DIMMED : 1;
  const place = t * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((value, i) => Math.round(factor * (value + (place - low) * (stops[low + 1][i] - value))));
}

const LEVELS = 256;
const WRONG = [255, 0, 255]; // of NaN

// A scale for values: "sequential" from low to high, "diverging" symmetric about zero, "sign" with two colours.
function scaleOf(kind, low, high) {
  if (kind === "sign") {
    const [minus, plus] = ["negative", "positive"].map((name) => rgbOf(cssColour(name)));
    return { kind, low: -1, high: 1, colour: (v) => (v < 0 ? minus : plus) };
  }
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const [from, to] = kind === "diverging" ? [-most, most] : [low, high];
  const table = Array.from({ length: LEVELS }, (_, i) => onRamp(kind, i / (LEVELS - 1)));
  const factor = LEVELS / (to - from || 1);
  const level = (v) => Math.min(Math.max(Math.floor((v - from) * factor), 0), LEVELS - 1);
  return { kind, low: from, high: to, colour: (v) => table[level(v)] || WRONG };
}

function css([r, g, b]) {
  return `rgb(${r}, ${g}, ${b})`;
}

function rgbOf(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function gradient(kind) {
  if (kind === "sign") return "linear-gradient(90deg, var(--negative) 50%, var(--positive) 50%)";
  const stops = Array.from({ length: 11 }, (_, i) => css(onRamp(kind, i / 10)));
  return `linear-gradient(90deg, ${stops.join(", ")})`;
}

// Which colour is which sign, for scales of numbers with a sign; nothing for magnitudes.
function signKey(kind) {
  if (kind === "sequential") return [];
  const names = [["negative", "orange: negative"], ["positive", "violet: positive"]];
  const entries = names.map(([colour, text]) => element("span", { style: `--c: var(--${colour})` }, text));
  return [element("div", { class: "key signs" }, ...entries)];
}

// Black or white, whichever reads better on a colour.
function inkOn([r, g, b]) {
  const light = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
  return luminance > 0.179 ? "#000" : "#fff";
}
