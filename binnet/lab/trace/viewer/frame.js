// Inside another page: the frame gets the height of its content, and the arrow keys of the page around it step as well.
// Where the browser keeps the two pages apart, as in a sandbox, the frame stays as it is, and scrolls.

function outerFrame() {
  try {
    return window.frameElement;
  } catch {
    return null; // of another origin
  }
}

function fitFrame() {
  const frame = outerFrame();
  if (frame) frame.style.height = `${Math.ceil(document.documentElement.getBoundingClientRect().height)}px`;
}

// A key that was pressed outside: ours only if the frame lies across the middle of the window, so that at most one takes
// it, and if nothing has the focus that could need the key itself.
function onOuterKey(event) {
  const frame = outerFrame();
  if (!frame || !["ArrowLeft", "ArrowRight"].includes(event.key) || !event.target.matches("html, body, a")) return;
  const { top, bottom } = frame.getBoundingClientRect();
  const middle = window.parent.innerHeight / 2;
  if (top < middle && middle < bottom) onKey(event);
}

function beginFrame() {
  if (!outerFrame()) return;
  get("whole").open = false; // a short page for a place in another one
  window.parent.document.addEventListener("keydown", onOuterKey);
  new ResizeObserver(fitFrame).observe(document.documentElement);
}
