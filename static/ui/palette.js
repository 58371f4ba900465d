// The search for everything: "/" opens it, arrows go through what was found, Enter in the field opens the first of it.
const palette = document.getElementById("palette");
const field = palette.querySelector("input");

// On window, so that others are asked first: a page may be waiting for this very key.
addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (key !== "/" || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.documentElement.dataset.keys === "off" || target.closest("input, select, textarea, dialog")) return;
  event.preventDefault();
  palette.showModal();
});

field.addEventListener("focus", () => field.select());

palette.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const places = [field, ...palette.querySelectorAll(".found a")];
  places.at((places.indexOf(document.activeElement) + step) % places.length).focus();
});

// Found by other words than stand there now, it is no answer: then the page of results has it.
palette.addEventListener("submit", (event) => {
  const first = palette.querySelector(".found a");
  if (!first || first.closest(".found").dataset.words !== field.value.trim()) return;
  event.preventDefault();
  first.click();
});

// Whoever comes back by "Back" finds the page as it was before.
addEventListener("pagehide", () => palette.close());
