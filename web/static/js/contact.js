// The buyer's contact, [data-contact]: a mobile number stands in groups of 3-4-4 while it is typed, a pasted one loses what is not number,
// and on leaving the field a wrong length or half an address is said beside it. Who types an address is not asked for a second one, [data-second-contact]. The server judges again, by all its rules.
const CHINA = /^(?:\+|00)?86(?=1\d{10}$)/;
const isNumber = (text) => /^[\d\s-]*$/.test(text);
const plain = (text) => text.normalize("NFKC").replace(/[^\d+]/g, "").replace(CHINA, "");

function grouped(digits) {
  if (!digits.startsWith("1") || digits.length > 11) return digits;
  return [digits.slice(0, 3), digits.slice(3, 7), digits.slice(7)].filter(Boolean).join(" ");
}

// The caret stays behind the same digit, however many blanks came or went before it.
function group(field) {
  const before = field.value.normalize("NFKC");
  if (!isNumber(before)) return;
  const passed = before.slice(0, field.selectionStart ?? before.length).replace(/\D/g, "").length;
  const after = grouped(plain(before));
  if (after === field.value) return;
  field.value = after;
  if (field.type === "email") return;
  let at = 0;
  for (let digits = 0; at < after.length && digits < passed; at += 1) if (after[at] !== " ") digits += 1;
  field.setSelectionRange(at, at);
}

function fault(field) {
  const text = field.value.normalize("NFKC").trim();
  if (text === "") return "";
  if (text.includes("@")) return /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(text) ? "" : field.dataset.notEmail ?? "";
  const digits = plain(text).replace(/\D/g, "");
  if (!/^[+\d]/.test(text) || !digits) return field.dataset.notEmail ?? field.dataset.notPhone ?? "";
  const fits = digits.startsWith("1") && !text.startsWith("+") ? digits.length === 11 : digits.length >= 8 && digits.length <= 15;
  return fits ? "" : field.dataset.notPhone ?? field.dataset.notEmail ?? "";
}

function askForSecond(field) {
  const second = field.form?.querySelector("[data-second-contact]");
  if (second && !second.contains(field)) second.hidden = field.value.normalize("NFKC").includes("@");
}

function say(field, words) {
  const id = `${field.id}-error`;
  let note = document.getElementById(id);
  const told = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((other) => other && other !== id);
  if (!words) {
    note?.remove();
    field.removeAttribute("aria-invalid");
  } else {
    if (!note) {
      note = document.createElement("div");
      note.id = id;
      note.setAttribute("role", "alert");
      field.after(note);
    }
    note.textContent = words;
    field.setAttribute("aria-invalid", "true");
    told.push(id);
  }
  if (told.length) field.setAttribute("aria-describedby", told.join(" "));
  else field.removeAttribute("aria-describedby");
}

const contact = (event) => event.target.closest?.("[data-contact]");
document.addEventListener("input", (event) => {
  const field = contact(event);
  if (!field) return;
  group(field);
  askForSecond(field);
  if (field.getAttribute("aria-invalid") && !fault(field)) say(field, "");
});
document.addEventListener("paste", (event) => {
  const field = contact(event);
  const text = (event.clipboardData?.getData("text") ?? "").normalize("NFKC");
  if (!field || text.includes("@") || !/\d{3}/.test(text)) return;
  event.preventDefault();
  field.setRangeText(plain(text), field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
document.addEventListener("focusout", (event) => {
  const field = contact(event);
  if (field) say(field, fault(field));
});
for (const field of document.querySelectorAll("[data-contact]")) {
  group(field);
  askForSecond(field);
}
