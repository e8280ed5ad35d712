// Copy buttons. What is copied is data-copy, or what the server says at data-copy-url (a secret that stays masked on the page).
// The label says so in place for 2 seconds.
const SAID_MS = 2000;

async function wanted(button) {
  if (button.dataset.copy !== undefined) return button.dataset.copy;
  const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  const answer = await fetch(button.dataset.copyUrl, { method: "POST", headers: { "X-CSRF-Token": token, Accept: "text/plain" } });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.text();
}

function fallback(text) {
  const box = document.createElement("textarea");
  box.value = text;
  box.setAttribute("readonly", "");
  box.className = "sr-only";
  document.body.append(box);
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  if (!done) throw new Error("refused");
}

function tell(button, message) {
  const label = button.querySelector("[data-label]");
  const before = label ? label.textContent : button.getAttribute("aria-label");
  const put = (text) => (label ? (label.textContent = text) : button.setAttribute("aria-label", text));
  if (button.dataset.telling) return;
  button.dataset.telling = "1";
  put(message);
  button.querySelector("[role=status]")?.replaceChildren(message);
  setTimeout(() => {
    put(before);
    button.querySelector("[role=status]")?.replaceChildren();
    delete button.dataset.telling;
  }, SAID_MS);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy], [data-copy-url]");
  if (!button) return;
  try {
    const text = await wanted(button);
    try { await navigator.clipboard.writeText(text); } catch { fallback(text); }
    tell(button, button.dataset.copied);
  } catch {
    tell(button, button.dataset.copyFailed);
  }
});
