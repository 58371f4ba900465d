// A text field with suggestions: the ARIA combobox pattern with a listbox popup. Any text may be kept.
let made = 0;

// `options()` returns [{value, note}], now or as a promise. Picking sets the value and fires "input" and "change".
export function attachCombo(input, options) {
  const box = document.createElement("span");
  const list = document.createElement("ul");
  box.className = "combo";
  list.className = "options";
  list.id = `options-${++made}`;
  list.role = "listbox";
  list.hidden = true;
  list.setAttribute("aria-label", "Suggestions");
  input.replaceWith(box);
  box.append(input, list);
  input.role = "combobox";
  input.autocomplete = "off";
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-expanded", "false");
  input.setAttribute("aria-controls", list.id);
  let at = -1;

  const close = () => {
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const open = async (all = false) => {
    const words = all ? "" : input.value.trim().toLowerCase();
    const found = (await options()).filter(({ value }) => value.toLowerCase().includes(words)).slice(0, 50);
    if (document.activeElement !== input) return;
    list.replaceChildren(
      ...found.map(({ value, note }, place) => {
        const item = document.createElement("li");
        item.role = "option";
        item.id = `${list.id}-${place}`;
        item.dataset.value = value;
        item.setAttribute("aria-selected", "false");
        item.append(value);
        if (note) item.append(Object.assign(document.createElement("small"), { textContent: note }));
        return item;
      }),
    );
    if (!found.length || (found.length === 1 && found[0].value === input.value)) return close();
    at = -1;
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
  };

  const mark = (place) => {
    const items = list.children;
    items[at]?.setAttribute("aria-selected", "false");
    at = (place + items.length) % items.length;
    items[at].setAttribute("aria-selected", "true");
    items[at].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[at].id);
  };

  const pick = (item) => {
    input.value = item.dataset.value;
    close();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  input.addEventListener("focus", () => open(true));
  input.addEventListener("click", () => list.hidden && open(true));
  input.addEventListener("input", (event) => event.isTrusted && open());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", async (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) await open(true);
      if (!list.hidden) mark(event.key === "ArrowDown" ? at + 1 : at < 0 ? -1 : at - 1);
    } else if (event.key === "Enter" && !list.hidden && at >= 0) {
      event.preventDefault();
      pick(list.children[at]);
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      close();
    }
  });
  // mousedown comes before blur: the field keeps the focus.
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const item = event.target.closest("li");
    if (item) pick(item);
  });
}
