// How search orders its results: chapters first where docs/_ext/subjects.py says that they explain the word.
// The numbers are those of Sphinx; `score` adds to them.
var Scorer = {
  score: ([page, , , , score, , kind]) => {
    if (page.startsWith("adr/")) return score - 10;
    if (!page.startsWith("paper/")) return score;
    return score + (kind === "index" ? 200 : 10);
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
