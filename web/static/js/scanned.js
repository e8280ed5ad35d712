// A scanned link carries its code behind the #, which is never sent to a server: it is put into its field and taken out of the address.
function take() {
  const field = document.querySelector("[data-scanned]");
  const code = decodeURIComponent(location.hash.slice(1));
  if (!field || !/^[0-9A-Za-z-]{8,80}$/.test(code)) return;
  field.value = code;
  history.replaceState(null, "", location.pathname);
  const place = field.form.querySelector("[name=place]");
  (place?.value ? field.form.querySelector("[type=submit]") : place)?.focus();
}

take();
addEventListener("hashchange", take);
