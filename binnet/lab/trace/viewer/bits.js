// The words under the window as bits: the input's, the filter's, and their XOR; and as a table of hexadecimal.

class BitRows {
  constructor({ xor, counts }) {
    Object.assign(this, { xor, counts });
    this.canvas = element("canvas", { role: "img" });
    this.said = element("p", { class: "said" });
    const key = element("div", { class: "key" }, ...this.keys());
    this.box = element("div", { class: "bits", tabindex: "0", role: "region", "aria-label": "Words as bits" }, this.canvas);
    this.table = element("tbody");
    this.node = element("div", {}, element("h3", {}, "The words of the window"), key, this.box, this.said, this.hex());
    this.canvas.addEventListener("pointermove", (event) => this.say(event));
  }

  keys() {
    const entry = (colour, text, name = "") => element("span", { style: `--c: var(--${colour})`, class: name }, text);
    const found = [entry("negative", "1 is −1"), entry("positive", "0 is +1")];
    if (this.xor) found.push(element("span", { class: "plain" }, "last row, XOR: 1 where they differ, a product of −1"));
    return CHANNELS % 64 ? [...found, entry("hatch", `tail bits: ${CHANNELS} channels leave ${64 * META.words - CHANNELS} unused`, "tail")] : found;
  }

  hex() {
    const heads = ["tap", "input", "filter", ...(this.xor ? ["XOR"] : []), ...(this.counts ? ["count"] : [])];
    const row = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
    const table = element("table", { class: "hex" }, element("thead", {}, row), this.table);
    this.more = element("details", {}, element("summary", {}, "The same words in hexadecimal"), element("div", { class: "scroll" }, table));
    this.more.addEventListener("toggle", () => this.fillTable());
    return this.more;
  }

  draw() {
    [this.a, this.b] = [windowHalves(...STATE.pixel), filterHalves(STATE.filter)];
    this.lines = this.xor ? 3 : 2;
    const width = Math.max(this.box.clientWidth - 16, 200);
    [this.label, this.right] = [width > 500 ? 58 : 30, this.counts ? 34 : 4];
    this.wide = width > 400 ? 64 : 32; // bits side by side: on phones a word takes two lines
    const gaps = 2 * (this.wide / 8 - 1);
    this.cell = Math.max(3, Math.min(11, (width - this.label - this.right - gaps) / this.wide));
    this.half = this.lines * this.cell + 5; // height of the bits that stand side by side
    this.group = (64 / this.wide) * this.half + 4;
    const rows = TAPS * META.words;
    const context = sharpCanvas(this.canvas, this.label + this.right + this.wide * this.cell + gaps, rows * this.group);
    context.font = `${Math.min(12, this.cell + 4)}px ${cssColour("mono")}`;
    context.textBaseline = "middle";
    this.colours = Object.fromEntries(["negative", "positive", "quiet", "ink"].map((n) => [n, cssColour(n)]));
    for (let row = 0; row < rows; row++) this.drawRow(context, row);
    this.canvas.setAttribute("aria-label", this.alt());
    this.fillTable();
  }

  alt() {
    const differing = countDiffering(...STATE.pixel, STATE.filter);
    const words = `${TAPS * META.words} words of the window and of filter ${STATE.filter} as rows of 64 bits`;
    return this.xor ? `${words}, and their XOR, in which ${differing} of ${META.n} bits are 1` : words;
  }

  drawRow(context, row) {
    const top = row * this.group;
    const tap = Math.floor(row / META.words);
    const name = META.words > 1 && this.label > 40 ? `${Math.floor(tap / KW)},${tap % KW} w${row % META.words}` : `${Math.floor(tap / KW)},${tap % KW}`;
    context.fillStyle = this.colours.quiet;
    if (this.label > 40 || row % META.words === 0) context.fillText(name, 0, top + (this.group - 9) / 2);
    const [a, b] = [this.a, this.b].map((halves) => halves.subarray(2 * row, 2 * row + 2));
    const differs = Uint32Array.from([a[0] ^ b[0], a[1] ^ b[1]]);
    const real = Math.min(64, CHANNELS - 64 * (row % META.words));
    [a, b, differs].slice(0, this.lines).forEach((halves, line) => {
      const side = this.cell - 1;
      for (let bit = 0; bit < real; bit++) {
        context.fillStyle = this.colours[bitOf(halves, bit) ? "negative" : "positive"];
        context.fillRect(this.left(bit), top + this.down(bit, line), side, side);
      }
      for (let first = real; first < 64; first = this.lastBeside(first) + 1) {
        const across = this.left(this.lastBeside(first)) + side - this.left(first);
        hatch(context, this.left(first), top + this.down(first, line), across, side);
      }
    });
    if (!this.counts) return;
    context.fillStyle = this.colours.ink;
    const middle = top + (this.group - 9) / 2;
    context.fillText(String(popcount(differs[0]) + popcount(differs[1])), this.left(this.wide - 1) + this.cell + 8, middle);
  }

  // Bits stand in groups of eight.
  left(bit) {
    const place = bit % this.wide;
    return this.label + place * this.cell + 2 * Math.floor(place / 8);
  }

  // A small gap stands above the third line, the XOR.
  down(bit, line = 0) {
    return Math.floor(bit / this.wide) * this.half + line * this.cell + (line === 2 ? 2 : 0);
  }

  // The last of the bits that stand side by side with this one.
  lastBeside(bit) {
    return bit - (bit % this.wide) + this.wide - 1;
  }

  say(event) {
    const box = this.canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / this.group);
    if (row < 0 || row >= TAPS * META.words) return;
    const [x, y] = [event.clientX - box.left, event.clientY - box.top - row * this.group];
    const bit = Array.from({ length: 64 }, (_, i) => i).findLast((i) => this.left(i) <= x && this.down(i) <= y);
    if (bit === undefined) return;
    const [tap, channel] = [Math.floor(row / META.words), 64 * (row % META.words) + bit];
    const place = `tap ${Math.floor(tap / KW)},${tap % KW}`;
    if (channel >= CHANNELS) {
      this.said.textContent = `${place}, bit ${bit}: a tail bit, 0 in both words`;
      return;
    }
    const [a, b] = [this.a, this.b].map((halves) => bitOf(halves, 64 * row + bit));
    const [s, w] = [a, b].map((v) => (v ? "−1" : "+1"));
    this.said.textContent = `${place}, channel ${channel}: ${s} × ${w} = ${a ^ b ? "−1" : "+1"}`;
  }

  fillTable() {
    if (!this.more.open) return;
    const rows = Array.from({ length: TAPS * META.words }, (_, row) => {
      const [low, high] = [2 * row, 2 * row + 1];
      const xor = [this.a[low] ^ this.b[low], this.a[high] ^ this.b[high]].map((half) => half >>> 0);
      const tap = Math.floor(row / META.words);
      const cells = [`${Math.floor(tap / KW)},${tap % KW}`, hexOf(this.a[low], this.a[high]), hexOf(this.b[low], this.b[high])];
      if (this.xor) cells.push(hexOf(...xor));
      if (this.counts) cells.push(String(popcount(xor[0]) + popcount(xor[1])));
      return element("tr", {}, ...cells.map((text) => element("td", {}, text)));
    });
    this.table.replaceChildren(...rows);
  }
}
