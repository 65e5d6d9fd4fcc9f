// The arrays of the trace, and the few things that the page computes itself: XOR and popcount of words.

const META = JSON.parse(document.getElementById("trace-data").textContent);
const ARRAYS = Object.fromEntries(Object.entries(META.arrays).map(([name, array]) => [name, decoded(array)]));
const [H, W, CHANNELS] = META.input;
const [OH, OW, FILTERS] = META.output;
const { kh: KH, kw: KW, sh: SH, sw: SW, ph: PH, pw: PW } = META.window;
const TAPS = KH * KW;
const HALVES = 2 * META.words; // of each tap, 32 bits each

function decoded({ type, shape, data }) {
  const kinds = { float32: Float32Array, int16: Int16Array, int32: Int32Array, uint32: Uint32Array };
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const strides = [0, 0, 0, 0];
  for (let axis = shape.length - 1, stride = 1; axis >= 0; stride *= shape[axis--]) strides[axis] = stride;
  return { values: new kinds[type](bytes.buffer), strides };
}

// A number of an array by its indices, at most four.
function at(name, i, j = 0, k = 0, l = 0) {
  const { values, strides } = ARRAYS[name];
  return values[i * strides[0] + j * strides[1] + k * strides[2] + l * strides[3]];
}

function isInside(row, col) {
  return row >= 0 && row < H && col >= 0 && col < W;
}

// The top left place of the window of an output pixel; outside the image in the border.
function corner(row, col) {
  return [row * SH - PH, col * SW - PW];
}

// Half word number i of a pixel of the input; the border holds 0 bits where it counts as 0 or +1, else 1 bits.
function inputHalf(row, col, i) {
  if (isInside(row, col)) return at("x_words", row, col, i);
  if (META.padValue !== -1) return 0;
  const bits = CHANNELS - 32 * i;
  return bits >= 32 ? 0xffffffff : bits <= 0 ? 0 : 2 ** bits - 1;
}

// The half words under the window of an output pixel, tap by tap.
function windowHalves(row, col) {
  const [top, left] = corner(row, col);
  const halves = new Uint32Array(TAPS * HALVES);
  for (let tap = 0; tap < TAPS; tap++) {
    const [r, c] = [top + Math.floor(tap / KW), left + (tap % KW)];
    for (let i = 0; i < HALVES; i++) halves[tap * HALVES + i] = inputHalf(r, c, i);
  }
  return halves;
}

function filterHalves(filter) {
  const length = TAPS * HALVES;
  return ARRAYS.weight_words.values.subarray(filter * length, (filter + 1) * length);
}

function popcount(half) {
  let v = half - ((half >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

// popcount(window XOR filter), counted here from the words.
function countDiffering(row, col, filter) {
  const [a, b] = [windowHalves(row, col), filterHalves(filter)];
  return a.reduce((count, half, i) => count + popcount(half ^ b[i]), 0);
}

function bitOf(halves, bit) {
  return (halves[bit >>> 5] >>> (bit & 31)) & 1;
}

function signOfInput(row, col, channel) {
  return (at("x_words", row, col, channel >>> 5) >>> (channel & 31)) & 1 ? -1 : 1;
}

function signOfWeight(filter, r, c, channel) {
  return (at("weight_words", filter, r, c, channel >>> 5) >>> (channel & 31)) & 1 ? -1 : 1;
}

// What a border that counts as 0 added wrongly; 0 for inner pixels.
function borderOf(row, col, filter) {
  return META.n - 2 * at("differing", row, col, filter) - at("dots", row, col, filter);
}

// The layer's output without K, and the error: one operation each on numbers of the trace, rounded as there.
function withoutK(row, col, filter) {
  return Math.fround(at("dots", row, col, filter) * at("alpha", filter));
}

function errorOf(row, col, filter) {
  return Math.fround(at("y", row, col, filter) - at("conv", row, col, filter));
}

function hexOf(low, high) {
  return [high, low].map((half) => half.toString(16).padStart(8, "0")).join("");
}

// Four significant digits; whole numbers as they are.
function shown(value) {
  if (Number.isNaN(value)) return "NaN";
  const text = Number.isInteger(value) && Math.abs(value) < 1e9 ? String(value) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}
