// Text fields with suggestions: the ARIA combobox pattern with a listbox popup, drawn by forms/_combo.html. Any text may
// be kept. Picking sets the value and fires "input" and "change".
const comboOf = ({ target }) => (target.role === "combobox" ? target : null);
const listOf = (input) => input.nextElementSibling;
const marked = (input) => listOf(input).querySelector("[aria-selected=true]");

function offers({ dataset: { listed, offered } }) {
  return JSON.parse(listed ? document.getElementById(listed).textContent : offered || "[]");
}

function close(input) {
  listOf(input).hidden = true;
  input.ariaExpanded = "false";
  input.removeAttribute("aria-activedescendant");
}

function mark(input, item) {
  marked(input)?.setAttribute("aria-selected", "false");
  item.setAttribute("aria-selected", "true");
  item.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", item.id);
}

// All suggestions, or those for what is typed. Of names, the best one is marked: Enter takes it.
function open(input, words = "") {
  const begins = ({ value }) => value.toLowerCase().startsWith(words);
  const found = offers(input).filter(({ value }) => value.toLowerCase().includes(words)).sort((a, b) => begins(b) - begins(a)).slice(0, 50);
  const list = listOf(input);
  close(input);
  list.replaceChildren(...found.map(({ value, note = "" }, place) => {
    const item = Object.assign(document.createElement("li"), { role: "option", id: `${list.id}-${place}`, ariaSelected: "false" });
    item.append(value, Object.assign(document.createElement("small"), { textContent: note }));
    return item;
  }));
  if (!found.length) return;
  list.hidden = false;
  list.scrollIntoView({ block: "nearest" });
  input.ariaExpanded = "true";
  if (words && "name" in input.dataset) mark(input, list.firstChild);
}

function pick(input, item) {
  input.value = item.firstChild.data;
  for (const type of ["input", "change"]) input.dispatchEvent(new Event(type, { bubbles: true }));
  close(input);
}

document.addEventListener("focusin", (event) => comboOf(event) && open(event.target));
document.addEventListener("focusout", (event) => comboOf(event) && close(event.target));
document.addEventListener("input", (event) => comboOf(event) && open(event.target, event.target.value.trim().toLowerCase()));
document.addEventListener("mousedown", (event) => {
  const item = event.target.closest(".options li");
  const input = item?.parentNode.previousElementSibling ?? comboOf(event);
  if (!input) return;
  // It comes before blur: the field keeps the focus.
  if (item) event.preventDefault();
  if (item) pick(input, item);
  else if (input === document.activeElement && listOf(input).hidden) open(input);
});

document.addEventListener("keydown", (event) => {
  const input = comboOf(event);
  if (!input) return;
  const { key } = event;
  const list = listOf(input);
  const at = marked(input);
  if (key === "ArrowDown" || key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) open(input);
    if (!list.hidden) mark(input, key === "ArrowDown" ? at?.nextSibling ?? list.firstChild : at?.previousSibling ?? list.lastChild);
  } else if (key === "Enter" && at && !list.hidden) {
    event.preventDefault();
    pick(input, at);
  } else if (key === "Escape" && !list.hidden) close(input);
});
