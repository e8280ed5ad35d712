// Dialogs. A link with data-dialog opens the dialog of that id; a link that fetched its content into #dialog-body opens #dialog.
// Without scripts both kinds of link lead to a page of their own. The browser traps focus and gives it back.
document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-dialog]");
  const dialog = opener && document.getElementById(opener.dataset.dialog);
  if (dialog) { event.preventDefault(); dialog.showModal(); }
  if (event.target.closest?.("[data-dialog-close]")) { event.preventDefault(); event.target.closest("dialog")?.close(); }
  if (event.target.matches?.("dialog[open]")) event.target.close();
});

document.addEventListener("htmx:after:swap", () => {
  const body = document.getElementById("dialog-body");
  const dialog = body?.closest("dialog");
  if (dialog && !dialog.open && body.childElementCount) dialog.showModal();
  if (dialog?.open && !body.childElementCount) dialog.close();
});

document.addEventListener("close", (event) => {
  if (event.target.id === "dialog") document.getElementById("dialog-body").replaceChildren();
}, true);
