// Colours of maps: blue below zero, orange above, and one ramp for magnitudes; each for light and dark.

const isDark = () => document.documentElement.dataset.theme === "dark";
const RAMPS = {
  light: {
    diverging: [[18, 70, 135], [103, 160, 214], [247, 247, 247], [238, 160, 91], [150, 62, 4]],
    sequential: [[248, 250, 251], [157, 205, 200], [56, 133, 141], [10, 62, 84]],
  },
  dark: {
    diverging: [[156, 206, 255], [58, 124, 189], [24, 31, 39], [194, 105, 26], [255, 202, 145]],
    sequential: [[24, 31, 39], [28, 88, 104], [67, 157, 152], [208, 244, 228]],
  },
};

const COLOURS = new Map(); // of the style sheet, looked up once for each theme
document.addEventListener("theme", () => COLOURS.clear());

function cssColour(name) {
  if (!COLOURS.has(name)) COLOURS.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return COLOURS.get(name);
}

// The colour of t in [0, 1] on a ramp.
function onRamp(kind, t) {
  const stops = RAMPS[isDark() ? "dark" : "light"][kind];
  const place = t * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((value, i) => Math.round(value + (place - low) * (stops[low + 1][i] - value)));
}

const LEVELS = 256;
const WRONG = [255, 0, 255]; // of NaN

// A scale for values: "sequential" from low to high, "diverging" symmetric about zero, "sign" with two colours.
function scaleOf(kind, low, high) {
  if (kind === "sign") {
    const [minus, plus] = [0.22, 0.78].map((t) => onRamp("diverging", t));
    return { kind, low: -1, high: 1, colour: (v) => (v < 0 ? minus : plus) };
  }
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const [from, to] = kind === "diverging" ? [-most, most] : [low, high];
  const table = Array.from({ length: LEVELS }, (_, i) => onRamp(kind, i / (LEVELS - 1)));
  const factor = (LEVELS - 1) / (to - from || 1);
  const level = (v) => Math.min(Math.max(Math.round((v - from) * factor), 0), LEVELS - 1);
  return { kind, low: from, high: to, colour: (v) => table[level(v)] || WRONG };
}

function css([r, g, b]) {
  return `rgb(${r}, ${g}, ${b})`;
}

function gradient(kind) {
  if (kind === "sign") return `linear-gradient(90deg, ${css(onRamp("diverging", 0.22))} 50%, ${css(onRamp("diverging", 0.78))} 50%)`;
  const stops = Array.from({ length: 9 }, (_, i) => css(onRamp(kind, i / 8)));
  return `linear-gradient(90deg, ${stops.join(", ")})`;
}

// Black or white, whichever reads better on a colour.
function inkOn([r, g, b]) {
  const light = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
  return luminance > 0.179 ? "#000" : "#fff";
}
