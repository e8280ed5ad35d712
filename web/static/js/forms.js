// Forms: the first field in error gets the focus, counters count, files show their name, a number steps up and down,
// pasted numbers lose their blanks, and a change unsaved is asked about before the page is left.
function focusFirstError(root = document) {
  const field = root.querySelector("[aria-invalid=true]");
  if (!field || document.activeElement?.closest("[aria-invalid=true]")) return;
  (field.matches("fieldset") ? field.querySelector("input:checked, input:not(:disabled)") : field)?.focus();
}

// The list of faults at a form's head names each one's field.
function nameFaults() {
  for (const link of document.querySelectorAll(".errors a:not([data-named])")) {
    const field = document.getElementById(link.hash.slice(1));
    const label = field?.labels?.[0]?.firstChild?.textContent.trim();
    link.dataset.named = "1";
    if (!label) continue;
    const name = document.createElement("b");
    name.textContent = label;
    link.prepend(name, " ");
  }
}

// With scripts the server names all errors at once; without them the browser's own check stays on.
const leaveChecksToServer = () => document.querySelectorAll("form[method=post]").forEach((form) => { form.noValidate = true; });

function count(field) {
  const counter = document.getElementById(`${field.id}-count`);
  if (counter) counter.textContent = `${[...field.value].length} / ${field.dataset.count}`;
}

function step(button) {
  const box = document.getElementById(button.dataset.stepFor);
  const wanted = Number(box.value || 0) + Number(button.dataset.step);
  box.value = String(Math.min(Number(box.max || Infinity), Math.max(Number(box.min || 0), wanted)));
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.dispatchEvent(new Event("change", { bubbles: true }));
}

document.addEventListener("input", (event) => {
  if (event.target.matches?.("[data-count]")) count(event.target);
  event.target.closest?.("form[data-unsaved]")?.setAttribute("data-dirty", "");
});
document.addEventListener("change", (event) => {
  const name = event.target.matches?.("input[type=file]") && event.target.closest(".drop")?.querySelector("[data-file-name]");
  if (name) name.textContent = [...event.target.files].map((file) => file.name).join(", ");
});
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-step]");
  if (button) step(button);
});
document.addEventListener("paste", (event) => {
  if (!event.target.matches?.("[data-digits]")) return;
  event.preventDefault();
  const digits = event.clipboardData.getData("text").normalize("NFKC").replace(/\D/g, "");
  event.target.setRangeText(digits, event.target.selectionStart, event.target.selectionEnd, "end");
  event.target.dispatchEvent(new Event("input", { bubbles: true }));
});
for (const [name, over] of [["dragenter", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(name, (event) => event.target.closest?.(".drop")?.classList.toggle("is-over", over));
}
document.addEventListener("submit", (event) => event.target.removeAttribute("data-dirty"), true);
addEventListener("beforeunload", (event) => { if (document.querySelector("form[data-dirty]")) event.preventDefault(); });
document.addEventListener("htmx:after:swap", (event) => {
  leaveChecksToServer();
  nameFaults();
  if (event.detail.ctx.response?.status === 422) focusFirstError();
});

leaveChecksToServer();
nameFaults();
document.querySelectorAll("[data-count]").forEach(count);
focusFirstError();
