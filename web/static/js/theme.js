// Sets the colour scheme before anything is painted: what the person chose, else what the system wants.
// Loaded blocking in <head>, so it must stay tiny. The switch is any [data-theme-switch]; it turns the one into the other and is remembered.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const apply = () => root.classList.toggle("dark", (chosen() ?? (system.matches ? "dark" : "light")) === "dark");
  root.classList.add("js");
  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-switch]")) return;
    const next = root.classList.contains("dark") ? "light" : "dark";
    try { localStorage.setItem("theme", next); } catch { /* a private window: it holds for this page */ }
    root.classList.toggle("dark", next === "dark");
  });
})();
