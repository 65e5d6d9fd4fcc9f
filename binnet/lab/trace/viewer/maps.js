// Maps: canvases of the input's or the output's size on which a pixel can be looked at.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A canvas for so many CSS pixels, sharp on any screen.
function sharpCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.imageSmoothingEnabled = false;
  return context;
}

// A picture of rows x cols values, one pixel each.
function raster(rows, cols, value, scale) {
  const canvas = element("canvas", { width: cols, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(cols, rows);
  for (let row = 0, i = 0; row < rows; row++)
    for (let col = 0; col < cols; col++) {
      const [r, g, b] = scale.colour(value(row, col));
      image.data[i++] = r;
      image.data[i++] = g;
      image.data[i++] = b;
      image.data[i++] = 255;
    }
  context.putImageData(image, 0, 0);
  return canvas;
}

function extent(rows, cols, value) {
  let [low, high] = [Infinity, -Infinity];
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < cols; c++) {
      const v = value(r, c);
      if (v < low) low = v;
      if (v > high) high = v;
    }
  return low > high ? [0, 0] : [low, high];
}

// One map. `of` is "input" or "output"; the input is drawn with its border, as far as windows reach into it.
class PixelMap {
  constructor({ title, of, kind, value, range }) {
    Object.assign(this, { title, of, value });
    [this.rows, this.cols] = of === "input" ? [H, W] : [OH, OW];
    [this.edgeRows, this.edgeCols] = of === "input" ? [PH, PW] : [0, 0];
    this.extent = extent(this.rows, this.cols, value);
    this.scale = scaleOf(kind, ...(range || this.extent));
    this.raster = raster(this.rows, this.cols, value, this.scale);
    this.canvas = element("canvas", { tabindex: "0", role: "application", "aria-roledescription": "map" });
    this.canvas.setAttribute("aria-label", this.label());
    this.frame = element("div", { class: "frame" }, this.canvas);
    this.figure = element("figure", {}, this.caption(), this.frame, this.legend(), ...signKey(kind));
    this.listen();
  }

  label() {
    const [low, high] = this.extent.map(shown);
    return `${this.title}: ${this.rows} by ${this.cols}, from ${low} to ${high}. Arrow keys move the output pixel.`;
  }

  caption() {
    this.reading = element("span", { class: "said" });
    return element("figcaption", {}, element("b", {}, this.title), this.reading);
  }

  legend() {
    const bar = element("i");
    bar.style.background = gradient(this.scale.kind);
    return element("div", { class: "legend", "aria-hidden": "true" }, shown(this.scale.low), bar, shown(this.scale.high));
  }

  // Side of a cell in CSS pixels, so that the whole map fits at zoom 1.
  cell() {
    const fitting = this.figure.clientWidth / (this.cols + 2 * this.edgeCols);
    const tallest = 420 / (this.rows + 2 * this.edgeRows);
    return Math.min(fitting, tallest, 48) * STATE.zoom;
  }

  listen() {
    const look = (event, keep) => {
      const box = this.canvas.getBoundingClientRect();
      const row = Math.floor((event.clientY - box.top) / this.side) - this.edgeRows;
      const col = Math.floor((event.clientX - box.left) / this.side) - this.edgeCols;
      lookAt(...this.outputPixel(row, col), keep);
    };
    this.canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && look(event, false));
    this.canvas.addEventListener("click", (event) => look(event, true));
    this.canvas.addEventListener("pointerleave", () => lookAt(...STATE.kept, false));
    this.canvas.addEventListener("keydown", (event) => onMapKey(event, this));
  }

  // The output pixel whose window is centred nearest to a place of this map.
  outputPixel(row, col) {
    if (this.of === "output") return [row, col];
    return [Math.round((row + PH - (KH - 1) / 2) / SH), Math.round((col + PW - (KW - 1) / 2) / SW)];
  }

  draw() {
    this.side = this.cell();
    const [width, height] = [this.cols + 2 * this.edgeCols, this.rows + 2 * this.edgeRows].map((n) => n * this.side);
    const context = sharpCanvas(this.canvas, width, height);
    if (this.edgeRows || this.edgeCols) hatch(context, 0, 0, width, height);
    const [left, top] = [this.edgeCols * this.side, this.edgeRows * this.side];
    context.drawImage(this.raster, left, top, this.cols * this.side, this.rows * this.side);
    const [row, col] = STATE.pixel;
    const [r, c, high, wide] = this.of === "input" ? [...corner(row, col), KH, KW] : [row, col, 1, 1];
    const box = [left + c * this.side, top + r * this.side, wide * this.side, high * this.side];
    outline(context, atLeast(10, box));
    this.reading.textContent = this.of === "output" ? shown(this.value(row, col)) : "";
    return box;
  }

  // Scroll the frame, not the page, so that the marked pixel can be seen.
  follow([left, top, width, height]) {
    const { frame } = this;
    frame.scrollLeft += Math.min(0, left - frame.scrollLeft) || Math.max(0, left + width - frame.scrollLeft - frame.clientWidth);
    frame.scrollTop += Math.min(0, top - frame.scrollTop) || Math.max(0, top + height - frame.scrollTop - frame.clientHeight);
  }
}

// A box around the same centre with sides of at least so many pixels, so that it can be seen.
function atLeast(side, [left, top, width, height]) {
  const [wide, high] = [Math.max(side, width), Math.max(side, height)];
  return [left - (wide - width) / 2, top - (high - height) / 2, wide, high];
}

function outline(context, [left, top, width, height]) {
  for (const [colour, line] of [[isDark() ? "#000" : "#fff", 5], [cssColour("mark"), 2.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(left, top, width, height);
  }
}

// Diagonal lines, for what is not there: the border, tail bits.
function hatch(context, left, top, width, height) {
  const tile = element("canvas", { width: 5, height: 5 });
  const lines = tile.getContext("2d");
  lines.strokeStyle = cssColour("hatch");
  for (const shift of [-5, 0, 5]) line(lines, shift - 1, 6, shift + 6, -1);
  context.fillStyle = context.createPattern(tile, "repeat");
  context.fillRect(left, top, width, height);
}

function line(context, ...ends) {
  context.beginPath();
  context.moveTo(ends[0], ends[1]);
  context.lineTo(ends[2], ends[3]);
  context.stroke();
}

// Small pictures of all channels or filters side by side; a click chooses one.
class Sheet {
  constructor({ title, count, rows, cols, kind, value, chosen, choose }) {
    Object.assign(this, { count, rows, cols, value, chosen, choose, gap: cols > 7 ? 2 : cols > 1 ? 5 : 1 });
    this.canvas = element("canvas", { role: "img", "aria-label": `${title}, small: ${count} pictures of ${rows} by ${cols}` });
    const scale = scaleOf(kind, ...this.wholeExtent());
    this.rasters = Array.from({ length: count }, (_, i) => raster(rows, cols, (r, c) => value(i, r, c), scale));
    const caption = element("figcaption", {}, element("span", {}, title), ...signKey(kind));
    this.figure = element("figure", { class: "sheet" }, caption, this.canvas);
    this.canvas.addEventListener("click", (event) => this.click(event));
  }

  wholeExtent() {
    const all = Array.from({ length: this.count }, (_, i) => extent(this.rows, this.cols, (r, c) => this.value(i, r, c)));
    return [Math.min(...all.map((e) => e[0])), Math.max(...all.map((e) => e[1]))];
  }

  draw() {
    const width = this.figure.clientWidth;
    const wanted = this.cols > 1 ? Math.min(Math.max(Math.ceil(this.cols * 1.5), 28), 72) : 12;
    this.columns = Math.max(1, Math.min(this.count, Math.floor(width / (wanted + this.gap))));
    this.tile = Math.min(width / this.columns, 1.6 * (wanted + this.gap));
    this.high = (this.tile - this.gap) * (this.rows / this.cols) + this.gap;
    const lines = Math.ceil(this.count / this.columns);
    const context = sharpCanvas(this.canvas, width, lines * this.high);
    this.rasters.forEach((picture, i) => {
      const box = [(i % this.columns) * this.tile + 1, Math.floor(i / this.columns) * this.high + 1, this.tile - this.gap, this.high - this.gap];
      context.drawImage(picture, ...box);
      if (i === this.chosen()) outline(context, box);
    });
  }

  click(event) {
    const box = this.canvas.getBoundingClientRect();
    const [col, row] = [Math.floor((event.clientX - box.left) / this.tile), Math.floor((event.clientY - box.top) / this.high)];
    const index = row * this.columns + col;
    if (col < this.columns && index < this.count) this.choose(index);
  }
}
