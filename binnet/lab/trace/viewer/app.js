// The state of the page, and what changes it.

const STATE = { step: 0, pixel: [...META.start.pixel], kept: [...META.start.pixel], filter: META.start.filter, channel: 0, zoom: 1 };
let shownMaps = [];
let shownSheets = [];
let shownDetails = [];
const get = (id) => document.getElementById(id);

// ------------------------------------------------------------------------------------------ drawing

// Everything that belongs to the step, filter and channel.
function drawStep() {
  const step = META.steps[STATE.step];
  const view = VIEWS[step.key];
  get("step-equation").textContent = `${STATE.step + 1} of ${META.steps.length}${step.equation ? ` · ${step.equation}` : ""}`;
  get("step-chapter").replaceChildren(chapterOf(step));
  get("step-title").textContent = step.title;
  get("step-formula").innerHTML = step.formula; // ours, not a stranger's
  get("step-text").textContent = step.text;
  const numbers = [["shape", step.shape], ...step.numbers];
  get("step-numbers").replaceChildren(...numbers.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  shownMaps = view.maps.map((name) => new PixelMap(MAPS[name]()));
  shownSheets = (view.sheets || []).map((name) => new Sheet(SHEETS[name]()));
  shownDetails = view.details.map((make) => make());
  const first = ["image", "answer"].includes(step.key) ? [imageFigure()] : [];
  get("maps").replaceChildren(...first, ...shownMaps.map((map) => map.figure));
  get("details").replaceChildren(...shownDetails.map((detail) => detail.node));
  get("sheets").replaceChildren(...shownSheets.map((sheet) => sheet.figure));
  get("maps").hidden = !first.length && !shownMaps.length;
  get("stage").className = `stage ${first.length || shownMaps.length === 1 ? view.layout || "half" : ""}`;
  shownSheets.forEach((sheet) => sheet.draw());
  markStep();
  drawPixel();
}

// Only what belongs to the pixel that is looked at.
function drawPixel(follow = false) {
  for (const map of shownMaps) {
    const box = map.draw();
    if (follow) map.follow(box);
  }
  shownDetails.forEach((detail) => detail.draw());
  drawLedger();
}

function drawLedger() {
  const key = META.steps[STATE.step].key;
  const [row, col] = STATE.pixel;
  const where = element("div", { class: "where" }, `output pixel (${row}, ${col}), filter ${STATE.filter}`);
  const items = LEDGER.map(([label, steps, value]) =>
    element("div", { class: steps.includes(key) ? "item now" : "item" }, element("small", {}, label), element("b", {}, shown(value()))),
  );
  get("ledger").replaceChildren(where, ...items);
}

function imageFigure() {
  const image = element("img", { class: "picture", src: document.querySelector(".thumb").src, alt: META.imageText });
  return element("figure", {}, element("figcaption", {}, element("b", {}, META.image)), image);
}

// The chapter of the documentation about a step: a link where its address is known, in the page around a frame.
function chapterOf({ chapter, address }) {
  return address === null ? chapter : element("a", { href: address, target: "_parent" }, chapter);
}

function markStep() {
  [...get("steps").querySelectorAll("button")].forEach((button, i) => {
    if (i !== STATE.step) return button.removeAttribute("aria-current");
    button.setAttribute("aria-current", "step");
    const list = get("steps");
    list.scrollLeft = button.offsetLeft - list.offsetLeft - (list.clientWidth - button.offsetWidth) / 2;
  });
  get("back").disabled = STATE.step === 0;
  get("forward").disabled = STATE.step === META.steps.length - 1;
}

function drawControls() {
  get("filter-value").textContent = `${STATE.filter} of ${FILTERS}`;
  get("channel-value").textContent = `${STATE.channel} of ${CHANNELS}`;
  get("zoom-value").textContent = `${STATE.zoom}×`;
  for (const name of ["filter", "channel", "zoom"]) get(name).value = STATE[name];
}

// ------------------------------------------------------------------------------------------ changing

function toStep(step) {
  const wanted = Math.min(Math.max(step, 0), META.steps.length - 1);
  if (wanted === STATE.step) return;
  STATE.step = wanted;
  drawStep();
  const { title, equation } = META.steps[wanted];
  get("spoken").textContent = `Step ${wanted + 1}: ${title}${equation ? `, ${equation}` : ""}`;
}

function lookAt(row, col, keep) {
  const pixel = [Math.min(Math.max(row, 0), OH - 1), Math.min(Math.max(col, 0), OW - 1)];
  if (keep) STATE.kept = pixel;
  if (pixel[0] === STATE.pixel[0] && pixel[1] === STATE.pixel[1]) return;
  STATE.pixel = pixel;
  drawPixel();
}

function chooseFilter(filter) {
  STATE.filter = Math.min(filter, META.part.filters - 1);
  drawControls();
  drawStep();
}

function chooseChannel(channel) {
  STATE.channel = channel;
  drawControls();
  drawStep();
}

function zoomTo(zoom) {
  STATE.zoom = Math.min(Math.max(zoom, 1), 8);
  drawControls();
  drawPixel(true);
}

// ------------------------------------------------------------------------------------------ keys

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function onMapKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.key in MOVES) {
    const [row, col] = STATE.pixel;
    const [down, right] = MOVES[event.key];
    lookAt(row + down, col + right, true);
    drawPixel(true);
    const [r, c] = STATE.pixel;
    get("spoken").textContent = `Pixel ${r}, ${c}: binary ${shown(at("y", ...here()))}, float ${shown(at("conv", ...here()))}`;
  } else if (event.key === "+" || event.key === "=") zoomTo(STATE.zoom + 0.5);
  else if (event.key === "-") zoomTo(STATE.zoom - 0.5);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
  if (event.target.matches("input, .bits, .scroll, .frame")) return; // these need the arrows themselves
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (move) toStep(STATE.step + move);
  else if (event.key === "Home") toStep(0);
  else if (event.key === "End") toStep(META.steps.length - 1);
  else return;
  event.preventDefault();
}

// ------------------------------------------------------------------------------------------ beginning

function begin() {
  META.steps.forEach((step, i) => {
    const button = element("button", { type: "button", title: step.title }, step.symbol);
    button.addEventListener("click", () => toStep(i));
    get("steps").append(element("li", {}, button));
  });
  get("back").addEventListener("click", () => toStep(STATE.step - 1));
  get("forward").addEventListener("click", () => toStep(STATE.step + 1));
  get("filter").max = META.part.filters - 1;
  get("channel").max = META.part.channels - 1;
  get("filter").addEventListener("input", (event) => chooseFilter(Number(event.target.value)));
  get("channel").addEventListener("input", (event) => chooseChannel(Number(event.target.value)));
  get("zoom").addEventListener("input", (event) => zoomTo(Number(event.target.value)));
  document.addEventListener("keydown", onKey);
  document.addEventListener("theme", drawStep);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) drawStep();
    width = window.innerWidth;
  });
  drawControls();
  drawStep();
  beginFrame();
}

window.trace = { state: STATE, meta: META, at, countDiffering, errorOf, withoutK, borderOf, scaleOf, toStep, lookAt };
begin();
