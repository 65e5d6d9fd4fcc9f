// What each step shows: its maps, the small pictures to choose from, and what lies under the window.

const MAPS = {
  x: () => ({ title: `I, channel ${STATE.channel}`, of: "input", kind: "diverging", value: (r, c) => at("x", r, c, STATE.channel) }),
  sign_x: () => ({ title: `sign(I), channel ${STATE.channel}`, of: "input", kind: "sign", value: (r, c) => signOfInput(r, c, STATE.channel) }),
  mean_abs_x: () => ({ title: "A", of: "input", kind: "sequential", value: (r, c) => at("mean_abs_x", r, c) }),
  K: () => ({ title: "K", of: "output", kind: "sequential", value: (r, c) => at("K", r, c) }),
  differing: () => outputMap("differing", "differing bits", "sequential"),
  dots: () => outputMap("dots", "sign(I) ⊛ sign(W)", "diverging"),
  y: () => ({ ...outputMap("y", "⊙ K α", "diverging"), range: bothRange() }),
  conv: () => ({ ...outputMap("conv", ARRAYS.weight ? "I ∗ W" : "I ∗ α·sign(W)", "diverging"), range: bothRange() }),
  error: () => ({ title: `difference, filter ${STATE.filter}`, of: "output", kind: "diverging", value: (r, c) => errorOf(r, c, STATE.filter) }),
};

// One range for what is approximated and its approximation, so that equal colours are equal numbers.
function bothRange() {
  const ends = ["y", "conv"].flatMap((name) => extent(OH, OW, (r, c) => at(name, r, c, STATE.filter)));
  return [Math.min(...ends), Math.max(...ends)];
}

function outputMap(name, title, kind) {
  return { title: `${title}, filter ${STATE.filter}`, of: "output", kind, value: (r, c) => at(name, r, c, STATE.filter) };
}

const SHEETS = {
  x: () => channelSheet("All channels of I", H, W, (i, r, c) => at("x", r, c, i)),
  sign_x: () => channelSheet("All channels of sign(I)", H, W, (i, r, c) => signOfInput(r, c, i), "sign"),
  weight: () => (ARRAYS.weight ? realWeights() : signsOfWeights("α·sign(W)")),
  weight_sign: () => signsOfWeights("sign(W)"),
  dots: () => filterSheet("dots", "sign(I) ⊛ sign(W) of all filters", "diverging"),
  y: () => filterSheet("y", "Eq. 11 of all filters", "diverging"),
  conv: () => filterSheet("conv", "The float convolution of all filters", "diverging"),
};

function realWeights() {
  return channelSheet(`W of filter ${STATE.filter}, all channels`, KH, KW, (i, r, c) => at("weight", STATE.filter, r, c, i));
}

function signsOfWeights(name) {
  return channelSheet(`${name} of filter ${STATE.filter}, all channels`, KH, KW, (i, r, c) => signOfWeight(STATE.filter, r, c, i), "sign");
}

function channelSheet(title, rows, cols, value, kind = "diverging") {
  const count = META.part.channels;
  const part = count < CHANNELS ? ` (the first ${count} of ${CHANNELS})` : "";
  return { title: title + part, count, rows, cols, kind, value, chosen: () => STATE.channel, choose: chooseChannel };
}

function filterSheet(name, title, kind) {
  const count = META.part.filters;
  const part = count < FILTERS ? ` (the first ${count} of ${FILTERS})` : "";
  const value = (i, r, c) => at(name, r, c, i);
  return { title: title + part, count, rows: OH, cols: OW, kind, value, chosen: () => STATE.filter, choose: chooseFilter };
}

const here = () => [...STATE.pixel, STATE.filter];
const VIEWS = {
  image: { maps: [], details: [path] },
  x: { maps: ["x"], sheets: ["x"], details: [inputPatch] },
  mean_abs_x: { maps: ["mean_abs_x"], details: [magnitudePatch] },
  K: { maps: ["mean_abs_x", "K"], details: [magnitudePatch, scaleSum] },
  sign_x: { maps: ["x", "sign_x"], sheets: ["sign_x"], details: [() => side(inputPatch(), signPatch())] },
  weight: { maps: [], sheets: ["weight"], details: [weightPatch] },
  alpha: { maps: [], details: [() => bars("alpha", `α of all ${FILTERS} filters`)] },
  weight_sign: { maps: [], sheets: ["weight_sign"], details: [() => side(weightPatch(), weightSignPatch())] },
  words: { layout: "bit", maps: ["sign_x"], details: [() => new BitRows({ xor: false, counts: false })] },
  xor: { layout: "bit", maps: ["sign_x"], details: [() => side(signPatch(), weightSignPatch()), () => new BitRows({ xor: true, counts: false })] },
  popcount: { layout: "bit", maps: ["differing"], details: [countSum, () => new BitRows({ xor: true, counts: true })] },
  dots: { maps: ["differing", "dots"], sheets: ["dots"], details: [dotSum] },
  y: { maps: ["dots", "K", "y"], sheets: ["y"], details: [productSum] },
  conv: { maps: ["conv", "y"], sheets: ["conv"], details: [() => side(inputPatch(), weightPatch())] },
  answer: { maps: [], details: [ranking] },
  error: { maps: ["y", "conv", "error"], details: [() => side(scatter(), bars("correlations", `Correlation of all ${FILTERS} filters`))] },
};

function scaleSum() {
  const cells = TAPS;
  return sum(() => [[false, `K = (sum of A) / ${cells} = `], [true, shown(at("K", ...STATE.pixel))]]);
}

// The page counts the bits of the words itself, and says whether that is what Python counted.
function countSum() {
  const node = element("p", { class: "sum" });
  const draw = () => {
    const [counted, known] = [countDiffering(...here()), at("differing", ...here())];
    const same = counted === known;
    const verdict = element("span", { class: same ? "good" : "bad" }, same ? "✓ as computed by binnet" : `≠ ${known} as computed by binnet`);
    node.replaceChildren("differing = ", element("b", {}, shown(counted)), ` of ${META.n} bits `, verdict);
  };
  return { node, draw };
}

function dotSum() {
  return sum(() => {
    const [differing, border] = [at("differing", ...here()), borderOf(...here())];
    const [sign, size] = border < 0 ? [" + ", shown(-border)] : [" − ", shown(border)];
    const correction = META.padValue === 0 && (PH || PW) ? [[false, `${sign}${size} (border)`]] : [];
    return [[false, `${META.n} − 2·${differing}`], ...correction, [false, " = "], [true, shown(at("dots", ...here()))]];
  });
}

function productSum() {
  return sum(() => [
    [false, `${shown(at("dots", ...here()))} × ${shown(at("K", ...STATE.pixel))} (K) × ${shown(at("alpha", STATE.filter))} (α) = `],
    [true, shown(at("y", ...here()))],
    [false, META.useK ? "" : `; without K, as this network has it: ${shown(withoutK(...here()))}`],
  ]);
}

// The chain of numbers of the pixel; those of the current step are framed.
const LEDGER = [
  ["K", ["K", "y"], () => at("K", ...STATE.pixel)],
  ["α", ["alpha", "y"], () => at("alpha", STATE.filter)],
  ["differing", ["xor", "popcount", "dots"], () => at("differing", ...here())],
  ["dot ⊛", ["dots", "y"], () => at("dots", ...here())],
  ["binary", ["y", "error"], () => at("y", ...here())],
  ["float", ["conv", "error"], () => at("conv", ...here())],
  ["difference", ["error"], () => errorOf(...here())],
];
