// Shows the parts that belong to the chosen option and hides the others': each part names its option in data-of-choice.
document.addEventListener("change", (event) => {
  if (!event.target.matches?.("input[type=radio]")) return;
  const form = event.target.form;
  const values = new Set([...(form?.elements[event.target.name] ?? [])].map((radio) => radio.value));
  for (const part of document.querySelectorAll("[data-of-choice]")) {
    if (values.has(part.dataset.ofChoice)) part.hidden = part.dataset.ofChoice !== event.target.value;
  }
});
