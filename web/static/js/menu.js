// The side navigation on phones, and drop-down menus (<details class="menu">): one open at a time, Esc and a press outside close it.
const wide = matchMedia("(min-width: 768px)");
const sidebar = () => document.getElementById("sidebar");

function setSidebar(open) {
  const side = sidebar();
  if (!side) return;
  side.dataset.sidebarInitialized = "true";
  side.setAttribute("aria-hidden", String(!open));
  side.toggleAttribute("inert", !open);
  document.querySelectorAll("[data-sidebar-open]").forEach((opener) => opener.setAttribute("aria-expanded", String(open)));
}

function closeMenus(except) {
  document.querySelectorAll("details.menu[open]").forEach((menu) => { if (menu !== except) menu.open = false; });
}

document.addEventListener("click", (event) => {
  const target = event.target;
  closeMenus(target.closest?.("details.menu"));
  if (target.closest?.("[data-sidebar-open]")) {
    event.preventDefault();
    setSidebar(true);
    return sidebar()?.querySelector("a")?.focus();
  }
  const shut = !wide.matches && sidebar()?.getAttribute("aria-hidden") === "false";
  if (shut && (target === sidebar() || target.closest?.("#sidebar a"))) setSidebar(false);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (menu) { menu.open = false; return menu.querySelector("summary").focus(); }
  if (!wide.matches && sidebar()?.getAttribute("aria-hidden") === "false") {
    setSidebar(false);
    document.querySelector("[data-sidebar-open]")?.focus();
  }
});

const settle = () => setSidebar(wide.matches);
wide.addEventListener("change", settle);
document.addEventListener("htmx:after:swap", (event) => { if (event.detail.ctx.target === document.body) settle(); });
settle();
