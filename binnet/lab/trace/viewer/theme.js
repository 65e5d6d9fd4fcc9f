// Light or dark, before anything is drawn: as the page around this one says (furo: data-theme of its body), else as the
// reader's system has it.

const SYSTEM = window.matchMedia("(prefers-color-scheme: dark)");
const OUTER = window.parent === window ? null : outerBody();

function outerBody() {
  try {
    return window.parent.document.body;
  } catch {
    return null; // of another origin
  }
}

function setTheme() {
  const wanted = OUTER?.dataset.theme;
  const dark = wanted === "dark" || (wanted !== "light" && SYSTEM.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.dispatchEvent(new Event("theme"));
}

SYSTEM.addEventListener("change", setTheme);
if (OUTER) new MutationObserver(setTheme).observe(OUTER, { attributeFilter: ["data-theme"] });
setTheme();
