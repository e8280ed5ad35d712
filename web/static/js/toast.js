// Messages at the foot of the page. Good news leaves after 5 seconds unless it is being read; errors stay until closed.
const READ_MS = 5000;
const area = () => document.getElementById("flash");

function watch(toast) {
  if (toast.dataset.watched) return;
  toast.dataset.watched = "1";
  if (toast.dataset.tone === "bad" || toast.dataset.tone === "warn") return;
  const leave = () => (toast.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : toast.remove());
  setTimeout(leave, READ_MS);
}

const watchAll = () => area()?.querySelectorAll("[data-toast]").forEach(watch);

function say(message) {
  const template = area()?.querySelector("template");
  if (!template || !message) return;
  const toast = template.content.firstElementChild.cloneNode(true);
  toast.querySelector("[data-text]").textContent = message;
  area().append(toast);
}

document.addEventListener("click", (event) => event.target.closest?.("[data-toast-close]")?.closest("[data-toast]")?.remove());
document.addEventListener("htmx:after:swap", watchAll);
document.addEventListener("htmx:error", (event) => event.detail.ctx && say(area()?.dataset.offline));
document.addEventListener("toast", (event) => say(event.detail));
watchAll();
