// Tables with checkboxes: the head selects the page, the bulk bar says how many and appears only then.
// The bar's own checkbox [data-bulk-all] says "all that match" and goes with the form.
function show(table) {
  const boxes = [...table.querySelectorAll("[data-select-row]")];
  const chosen = boxes.filter((box) => box.checked);
  for (const box of boxes) box.closest("tr").setAttribute("aria-selected", String(box.checked));
  const head = table.querySelector("[data-select-all]");
  if (head) { head.checked = chosen.length > 0 && chosen.length === boxes.length; head.indeterminate = chosen.length > 0 && !head.checked; }
  const bar = document.querySelector("[data-bulk]");
  if (!bar) return;
  bar.toggleAttribute("data-on", chosen.length > 0);
  const label = bar.querySelector("[data-bulk-count]");
  label.textContent = (chosen.length === 1 ? bar.dataset.one : bar.dataset.many).replace("{n}", chosen.length.toLocaleString());
  const all = bar.querySelector("[data-bulk-all]");
  if (all && chosen.length < boxes.length) all.checked = false;
}

document.addEventListener("change", (event) => {
  const table = event.target.closest?.("table");
  if (event.target.matches?.("[data-select-all]")) {
    table.querySelectorAll("[data-select-row]").forEach((box) => { box.checked = event.target.checked; });
  }
  if (event.target.matches?.("[data-select-all], [data-select-row]")) show(table);
});
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-bulk-cancel]")) return;
  const boxes = document.querySelectorAll("[data-select-row]");
  boxes.forEach((box) => { box.checked = false; });
  if (boxes[0]) show(boxes[0].closest("table"));
});

const showAll = () => document.querySelectorAll("table:has([data-select-row])").forEach(show);
document.addEventListener("htmx:after:swap", showAll);
showAll();
