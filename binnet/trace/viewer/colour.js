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

function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// The colour of t in [0, 1] on a ramp.
function onRamp(kind, t) {
  const stops = RAMPS[isDark() ? "dark" : "light"][kind];
  const place = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((value, i) => Math.round(value + (place - low) * (stops[low + 1][i] - value)));
}

// A scale for values: "sequential" from low to high, "diverging" symmetric about zero, "sign" with two colours.
function scaleOf(kind, low, high) {
  if (kind === "sign") return { kind, low: -1, high: 1, colour: (v) => onRamp("diverging", v < 0 ? 0.22 : 0.78) };
  if (kind === "sequential") {
    const [from, span] = [low, high - low || 1];
    return { kind, low, high, colour: (v) => onRamp(kind, (v - from) / span) };
  }
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
  return { kind, low: -most, high: most, colour: (v) => onRamp(kind, (v / most + 1) / 2) };
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
