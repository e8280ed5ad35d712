// A scanned link carries its code behind the #, which is never sent to a server: it is put into its field and taken out of the address.
const field = document.querySelector("[data-scanned]");
const code = decodeURIComponent(location.hash.slice(1));
if (field && /^[0-9A-Za-z-]{8,80}$/.test(code)) {
  field.value = code;
  history.replaceState(null, "", location.pathname);
  (field.form.querySelector("[name=place]")?.value ? field.form.querySelector("[type=submit]") : field.form.querySelector("[name=place]"))?.focus();
}
