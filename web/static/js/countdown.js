// Clocks that count down by the server's time: data-now is the server's instant when it wrote the page, data-until the end.
// At zero the element sends "countdown:done", which htmx can listen to (hx-trigger="countdown:done").
const written = performance.getEntriesByType("navigation")[0]?.responseStart ?? 0;
const since = new WeakMap();
let first = true;

function left(clock) {
  if (!since.has(clock)) since.set(clock, first ? written : performance.now());
  const now = Date.parse(clock.dataset.now) + performance.now() - since.get(clock);
  return Math.max(0, Math.ceil((Date.parse(clock.dataset.until) - now) / 1000));
}

function show(clock, seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const parts = [two(hours), two(Math.floor(seconds / 60) % 60), two(seconds % 60)];
  const blocks = clock.querySelectorAll("b");
  if (blocks.length === 3) blocks.forEach((block, place) => { block.textContent = parts[place]; });
  else clock.textContent = (hours ? parts : parts.slice(1)).join(":");
}

function tick() {
  for (const clock of document.querySelectorAll("[data-until]:not([data-over])")) {
    const seconds = left(clock);
    show(clock, seconds);
    if (seconds > 0) continue;
    clock.dataset.over = "1";
    clock.dispatchEvent(new CustomEvent("countdown:done", { bubbles: true }));
    if (clock.dataset.reload !== undefined) location.reload();
  }
  first = false;
}

setInterval(tick, 1000);
tick();
