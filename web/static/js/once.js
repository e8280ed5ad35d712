// One press, one effect: while a form is being sent its submit buttons are disabled and say what is being done.
// The server's idempotency key is the real guard; this is what the person sees of it.
const BACK_MS = 15000;
const buttons = (form) => [...form.elements].filter((element) => element.matches("button[type=submit], button:not([type])"));

function lock(form) {
  for (const button of buttons(form)) {
    if (button.disabled) continue;
    button.disabled = true;
    button.dataset.locked = "1";
    const label = button.querySelector("[data-label]");
    if (label && button.dataset.busy) { button.dataset.before = label.textContent; label.textContent = button.dataset.busy; }
  }
}

function unlock(form) {
  for (const button of form.querySelectorAll("[data-locked]")) {
    button.disabled = false;
    delete button.dataset.locked;
    const label = button.querySelector("[data-label]");
    if (label && button.dataset.before) { label.textContent = button.dataset.before; delete button.dataset.before; }
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented && !form.hasAttribute("data-htmx-powered")) return;
  if (form.dataset.sending) { event.preventDefault(); event.stopImmediatePropagation(); return; }
  form.dataset.sending = "1";
  setTimeout(() => lock(form));  // after the browser has read which button was pressed
  setTimeout(() => { delete form.dataset.sending; unlock(form); }, BACK_MS);
}, true);

document.addEventListener("htmx:finally:request", (event) => {
  const form = event.target.closest?.("form");
  if (form) { delete form.dataset.sending; unlock(form); }
});

addEventListener("pageshow", () => document.querySelectorAll("form[data-sending]").forEach((form) => {
  delete form.dataset.sending;
  unlock(form);
}));
