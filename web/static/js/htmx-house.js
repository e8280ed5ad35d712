// House rules for htmx: the CSRF header, links boosted but forms only when they say so, downloads left to the browser,
// and a whole reload when the sheets and scripts have changed since this page was opened.
const meta = (name) => document.querySelector(`meta[name="${name}"]`);

document.addEventListener("htmx:config:request", (event) => {
  const { request } = event.detail.ctx;
  if (new URL(request.action || location.href, location.href).origin !== location.origin) return event.preventDefault();
  if (request.method !== "GET") request.headers["X-CSRF-Token"] = meta("csrf-token")?.content ?? "";
});

// A form under a boosted region stays a plain form unless it carries its own hx- attribute: its answer may lead to another host or be a file.
document.addEventListener("htmx:before:init", (event) => {
  const form = event.target;
  if (form.matches?.("form") && ![...form.attributes].some((attribute) => attribute.name.startsWith("hx-"))) event.preventDefault();
});

// An answer that is no page (a file, a sheet) is fetched again by the browser itself.
document.addEventListener("htmx:before:response", (event) => {
  const { ctx } = event.detail;
  const type = ctx.response.headers.get("content-type") ?? "";
  const isPage = type.startsWith("text/html") || type.startsWith("text/event-stream") || !type;
  if (ctx.request.method === "GET" && (!isPage || ctx.response.headers.get("content-disposition")?.startsWith("attachment"))) {
    event.preventDefault();
    location.assign(ctx.request.action);
  }
});

// Boosted navigation swaps the body alone; what the head of a whole page says is taken over here.
document.addEventListener("htmx:before:swap", (event) => {
  const { ctx } = event.detail;
  const said = (name) => ctx.text?.match(new RegExp(`<meta name="${name}" content="([^"]*)"`))?.[1];
  const assets = said("assets");
  if (assets && assets !== meta("assets")?.content) {
    event.preventDefault();
    return ctx.request.method === "GET" ? location.assign(ctx.response.raw.url) : location.reload();
  }
  const token = said("csrf-token");
  if (token && meta("csrf-token")) meta("csrf-token").content = token;
});

// After a boosted navigation the reader starts at the top of the new page, as after a real one.
document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx.target === document.body && !document.querySelector("[autofocus], [aria-invalid=true]")) {
    const main = document.getElementById("main");
    main?.setAttribute("tabindex", "-1");
    main?.focus({ preventScroll: true });
  }
});
