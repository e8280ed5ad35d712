// A revealed secret hides again after 30 seconds, or at once when asked, and says so. The text is taken out of the page, not only covered.
function hide(secret) {
  const shown = secret.querySelector("[data-value]");
  if (!shown) return;
  shown.textContent = secret.dataset.mask;
  shown.removeAttribute("data-value");
  secret.querySelectorAll("[data-copy], [data-secret-hide]").forEach((button) => button.remove());
  const left = secret.parentElement.querySelector("[data-secret-left]");
  if (left) left.textContent = secret.dataset.hidden;
  secret.dataset.spent = "1";
}

function tick() {
  for (const secret of document.querySelectorAll("[data-secret]:not([data-spent])")) {
    secret.dataset.endsAt ??= String(Date.now() + Number(secret.dataset.secret) * 1000);
    const seconds = Math.ceil((Number(secret.dataset.endsAt) - Date.now()) / 1000);
    const left = secret.parentElement.querySelector("[data-secret-left]");
    if (seconds <= 0) hide(secret);
    else if (left) left.textContent = secret.dataset.left.replace("{n}", String(seconds));
  }
}

document.addEventListener("click", (event) => {
  const secret = event.target.closest?.("[data-secret-hide]")?.closest("[data-secret]");
  if (secret) hide(secret);
});
addEventListener("pagehide", () => document.querySelectorAll("[data-secret]").forEach(hide));
setInterval(tick, 1000);
tick();
