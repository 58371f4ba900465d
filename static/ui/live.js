// Lists that follow what arrives: they ask while the tab is seen and nobody has paused, and hold still under a reader.
const RESTING = 10000; // ms after which a pointer on a list is no longer a reader's
let paused = false;
let moved = 0;
let shown; // what the light shows when it has nothing else to say

const pause = () => document.getElementById("pause");

// Let the light say something else for a while, or, without words, what it said before.
function say(words, kind) {
  const light = document.getElementById("light");
  shown ??= [...light.childNodes];
  const pill = Object.assign(document.createElement("span"), { className: `pill ${kind}`, textContent: words });
  light.replaceChildren(...(words ? [pill] : shown));
  if (!words) shown = undefined;
}

function isRead(list) {
  const marked = getSelection();
  return (
    list.scrollTop > 0 || list.matches(":focus-visible") || list.querySelector(":focus, details[open]") ||
    (list.matches(":hover") && Date.now() - moved < RESTING) || (!marked.isCollapsed && list.contains(marked.focusNode))
  );
}

document.addEventListener("pointermove", () => (moved = Date.now()));

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.matches("[data-feed]") && (paused || document.hidden)) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", ({ target, detail }) => {
  if (detail.requestConfig?.elt !== target || !target.matches("[data-feed]") || !detail.shouldSwap) return;
  detail.shouldSwap = !paused && !isRead(target);
  if (!paused && (shown || !detail.shouldSwap)) say(detail.shouldSwap ? "" : pause().dataset.waiting, "held");
});

document.addEventListener("click", ({ target }) => {
  if (target !== pause()) return;
  paused = !paused;
  [target.textContent, target.dataset.other] = [target.dataset.other, target.textContent];
  say(paused ? target.dataset.paused : "", "paused");
});

// Back to another filter is a new page.
document.addEventListener("htmx:historyRestore", () => {
  paused = false;
  shown = undefined;
});
