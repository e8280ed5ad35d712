// The command palette: Ctrl or Cmd K opens it with focus in the box, letters filter, Enter goes, Esc closes, ? lists the shortcuts.
// Its items are links of the page, so they are only what this person may open. Single keys are dead while typing.
const palette = () => document.getElementById("palette");
const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");
const links = () => [...palette().querySelectorAll("li:not([hidden]) a")];

function choose(index) {
  const shown = links();
  shown.forEach((link, place) => link.setAttribute("aria-selected", String(place === index)));
  const link = shown[index];
  link?.scrollIntoView({ block: "nearest" });
  palette().querySelector("input").setAttribute("aria-activedescendant", link?.id ?? "");
}

function filter() {
  const wanted = palette().querySelector("input").value.trim().toLowerCase().split(/\s+/);
  for (const item of palette().querySelectorAll("li:not([data-search])")) {
    item.hidden = !wanted.every((word) => item.textContent.toLowerCase().includes(word));
  }
  const search = palette().querySelector("[data-search] a");
  if (search) {
    const text = palette().querySelector("input").value.trim();
    search.closest("li").hidden = text === "";
    search.href = search.dataset.href + encodeURIComponent(text);
    search.querySelector("[data-query]").textContent = text;
  }
  palette().querySelector("[data-none]").hidden = links().length > 0;
  choose(0);
}

function open(dialog) {
  if (!dialog || dialog.open || document.querySelector("dialog[open]")) return;
  dialog.showModal();
  const box = dialog.querySelector("input");
  if (!box) return;
  box.value = "";
  box.focus();
  filter();
}

function steer(event) {
  const shown = links();
  const at = shown.findIndex((link) => link.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    choose((at + (event.key === "ArrowDown" ? 1 : -1) + shown.length) % shown.length);
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (shown[at]) { palette().close(); shown[at].click(); }
  }
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && palette()) {
    event.preventDefault();
    return open(palette());
  }
  if (palette()?.open) return steer(event);
  if (event.key === "?" && !typing(event.target)) open(document.getElementById("shortcuts"));
});
document.addEventListener("input", (event) => event.target.closest?.("#palette") && filter());
document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-palette-open]")) { event.preventDefault(); open(palette()); }
});
