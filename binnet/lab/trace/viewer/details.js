// What lies under the window, the scales of all filters, and the scatter of binary against float.

// The window of one channel as a table of numbers.
class Patch {
  // `value(r, c, row, col)`: of tap (r, c), which lies on pixel (row, col); `outside`: what the border shows there.
  constructor({ title, value, outside, extent: [low, high], kind }) {
    Object.assign(this, { title, value, outside, scale: scaleOf(kind, low, high) });
    this.node = element("div", { class: "window" });
  }

  draw() {
    const [top, left] = corner(...STATE.pixel);
    this.small = get("details").clientWidth / KW < (KW > 5 ? 44 : 56); // no room for numbers: colours only
    const rows = Array.from({ length: KH }, (_, r) =>
      element("tr", {}, ...Array.from({ length: KW }, (_, c) => this.cell(r, c, top + r, left + c))),
    );
    const caption = element("caption", {}, this.title());
    const table = element("table", { class: this.small ? "patch small" : "patch" }, caption, element("tbody", {}, ...rows));
    this.node.replaceChildren(table);
  }

  cell(r, c, row, col) {
    if (this.outside !== null && !isInside(row, col)) {
      const text = this.small ? "" : this.outside;
      return element("td", { class: "outside", title: `border, counts as ${this.outside}` }, text);
    }
    const value = this.value(r, c, row, col);
    const colour = this.scale.colour(value);
    const style = `background: ${css(colour)}; color: ${inkOn(colour)}`;
    return element("td", { style, title: shown(value) }, this.small ? "" : brief(value));
  }
}

// With fewer digits where a window has many taps.
function brief(value) {
  const size = Math.abs(value);
  if (size > 0 && size < 1e-4) return value.toExponential(0).replaceAll("-", "−");
  return KW > 5 ? shown(Number(value.toPrecision(2))) : shown(value);
}

function inputPatch() {
  const value = (r, c, row, col) => at("x", row, col, STATE.channel);
  const range = extent(H, W, (r, c) => at("x", r, c, STATE.channel));
  return new Patch({ title: () => `I under the window, channel ${STATE.channel}`, value, outside: "0", extent: range, kind: "diverging" });
}

function signPatch() {
  const outside = shown(META.padValue);
  const value = (r, c, row, col) => signOfInput(row, col, STATE.channel);
  return new Patch({ title: () => `sign(I) under the window, channel ${STATE.channel}`, value, outside, extent: [-1, 1], kind: "sign" });
}

function magnitudePatch() {
  const value = (r, c, row, col) => at("mean_abs_x", row, col);
  const range = extent(H, W, (r, c) => at("mean_abs_x", r, c));
  return new Patch({ title: () => "A under the window", value, outside: "0", extent: range, kind: "sequential" });
}

function weightPatch() {
  const real = Boolean(ARRAYS.weight);
  const signed = (r, c) => Math.fround(at("alpha", STATE.filter) * signOfWeight(STATE.filter, r, c, STATE.channel));
  const value = real ? (r, c) => at("weight", STATE.filter, r, c, STATE.channel) : signed;
  const title = () => `${real ? "W" : "α·sign(W)"}, filter ${STATE.filter}, channel ${STATE.channel}`;
  return new Patch({ title, value, outside: null, extent: extent(KH, KW, value), kind: real ? "diverging" : "sign" });
}

function weightSignPatch() {
  const value = (r, c) => signOfWeight(STATE.filter, r, c, STATE.channel);
  const title = () => `sign(W), filter ${STATE.filter}, channel ${STATE.channel}`;
  return new Patch({ title, value, outside: null, extent: [-1, 1], kind: "sign" });
}

// Several of them side by side.
function side(...parts) {
  return { node: element("div", { class: "pair" }, ...parts.map((part) => part.node)), draw: () => parts.forEach((part) => part.draw()) };
}

// A line of arithmetic with the pixel's numbers.
function sum(text) {
  const node = element("p", { class: "sum" });
  return { node, draw: () => node.replaceChildren(...text().map(([bold, part]) => (bold ? element("b", {}, part) : part))) };
}

// The layers on the way from the image.
function path() {
  const names = [...META.before, META.layer].map((name, i, all) => (i === all.length - 1 ? element("b", {}, name) : `${name} → `));
  const node = element("div", {}, element("h3", {}, "From the image to the layer"), element("p", {}, "image → ", ...names));
  return { node, draw: () => {} };
}

// The most probable classes of the whole network, with bars; and what its packed form makes of the same image.
function ranking() {
  const { classes, packed } = META.answer;
  const also = packed === null ? [] : ["packed"];
  const head = ["class", "probability", "", ...also].map((text) => element("th", { scope: "col" }, text));
  const rows = classes.map(({ name, probability }, i) => {
    const bar = element("i", { style: `width: ${100 * probability}%` });
    const others = packed === null ? [] : [element("td", {}, percent(packed[i]))];
    return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, percent(probability)), element("td", { class: "bar" }, bar), ...others);
  });
  const table = element("table", { class: "ranking" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  return { node: element("div", {}, element("h3", {}, "The most probable classes"), table), draw: () => {} };
}

function percent(share) {
  return `${(100 * share).toFixed(2)}%`;
}

// A number of every filter as bars; a click chooses one.
function bars(name, title) {
  const canvas = element("canvas", { role: "img" });
  const { values } = ARRAYS[name];
  const most = values.reduce((a, b) => Math.max(a, Math.abs(b) || 0), 0) || 1;
  canvas.setAttribute("aria-label", `${title}, the largest ${shown(most)}`);
  const reading = element("span", { class: "said" });
  const node = element("figure", {}, element("figcaption", {}, element("b", {}, title), reading), canvas);
  const draw = () => {
    const width = node.clientWidth;
    const context = sharpCanvas(canvas, width, 140);
    const step = width / values.length;
    values.forEach((value, i) => {
      const height = (136 * Math.abs(value)) / most;
      context.fillStyle = cssColour(i === STATE.filter ? "mark" : value < 0 ? "negative" : "accent");
      context.fillRect(i * step, 140 - height, Math.max(step - (step > 3 ? 1 : 0), 0.5), height);
    });
    reading.textContent = shown(values[STATE.filter]);
  };
  canvas.addEventListener("click", (event) => chooseFilter(Math.floor((event.offsetX / canvas.clientWidth) * values.length)));
  return { node, draw };
}

// Every pixel of a filter: what the float convolution gives, and what Eq. 11 makes of it.
function scatter() {
  const canvas = element("canvas", { role: "img" });
  const title = element("h3");
  const node = element("div", {}, title, canvas);
  const r = shown(at("correlations", STATE.filter));
  title.textContent = `Filter ${STATE.filter}: correlation ${r}, error ${shown(at("errors", STATE.filter))}`;
  canvas.setAttribute("aria-label", `Scatter of Eq. 11 against the float convolution, ${OH * OW} pixels, correlation ${r}`);
  const [low, high] = bothRange();
  const all = element("canvas"); // every pixel, drawn once
  const draw = () => {
    const size = Math.min(node.clientWidth, 420);
    const place = (v) => EDGE + ((v - low) / (high - low || 1)) * (size - 2 * EDGE);
    const dot = (context, row, col, radius) => {
      context.beginPath();
      context.arc(place(at("conv", row, col, STATE.filter)), size - place(at("y", row, col, STATE.filter)), radius, 0, 7);
      context.fill();
    };
    if (all.style.width !== `${size}px`) drawScatter(all, size, [low, high], place, dot);
    const context = sharpCanvas(canvas, size, size);
    context.drawImage(all, 0, 0, size, size);
    context.fillStyle = cssColour("mark");
    dot(context, ...STATE.pixel, 5);
  };
  return { node, draw };
}

const EDGE = 28; // around the scatter, for the words

function drawScatter(canvas, size, [low, high], place, dot) {
  const context = sharpCanvas(canvas, size, size);
  context.strokeStyle = cssColour("line");
  for (const v of [0, low, high].filter((v) => v >= low && v <= high)) {
    line(context, place(v), size - EDGE, place(v), EDGE);
    line(context, EDGE, size - place(v), size - EDGE, size - place(v));
  }
  context.strokeStyle = cssColour("quiet");
  line(context, EDGE, size - EDGE, size - EDGE, EDGE);
  context.fillStyle = cssColour("accent");
  context.globalAlpha = 0.6;
  for (let i = 0; i < OH * OW; i++) dot(context, Math.floor(i / OW), i % OW, OH * OW > 600 ? 1.5 : 2.5);
  context.globalAlpha = 1;
  context.fillStyle = cssColour("quiet");
  context.font = "12px system-ui, sans-serif";
  context.fillText("float I ∗ W →", EDGE, size - 8);
  context.fillText("equal", size - EDGE - 30, EDGE - 8);
  context.translate(14, size - EDGE);
  context.rotate(-Math.PI / 2);
  context.fillText("binary, Eq. 11 →", 0, 0);
}
