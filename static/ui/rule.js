// The rule editor: a variable that is clicked goes to where the caret was last in the subject or the body, and what the
// warnings call unknown is underlined there, by a layer over the field that holds the same text unseen.
let text;

function underline(field) {
  const warnings = document.querySelectorAll(`#warnings [data-field="${field.name}"]`);
  const words = [...warnings].flatMap((warning) => JSON.parse(warning.dataset.written)).sort((a, b) => b.length - a.length);
  const unknown = new RegExp(`(?<![\\w.-])(${words.map(escaped).join("|")})(?![\\w[-]|\\s*\\.)`, "g");
  const pieces = [];
  // Between the braces of Liquid alone; the space at the end is for a last line that is empty.
  for (const piece of `${field.value} `.split(/(\{\{.*?\}\}|\{%.*?%\})/s)) {
    const isLiquid = words.length && /^\{[{%]/.test(piece);
    for (const [at, part] of (isLiquid ? piece.split(unknown) : [piece]).entries()) pieces.push(at % 2 ? marked(part) : part);
  }
  field.nextElementSibling.replaceChildren(...pieces);
  follow(field);
}

const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\-]/g, "\\$&");

function marked(word) {
  const mark = document.createElement("mark");
  mark.textContent = word;
  return mark;
}

function follow(field) {
  field.nextElementSibling.scrollTop = field.scrollTop;
  field.nextElementSibling.scrollLeft = field.scrollLeft;
}

const underlineAll = () => document.querySelectorAll("[data-text]").forEach(underline);

underlineAll();
document.addEventListener("htmx:oobAfterSwap", ({ detail }) => {
  if (detail.target.id === "warnings") underlineAll();
});
document.addEventListener("input", ({ target }) => {
  if ("text" in target.dataset) underline(target);
});
document.addEventListener("scroll", ({ target }) => {
  if (target.dataset && "text" in target.dataset) follow(target);
}, { capture: true, passive: true });

document.addEventListener("focusin", ({ target }) => {
  if ("text" in target.dataset) text = target;
});

document.addEventListener("click", ({ target }) => {
  const { insert } = target.closest("[data-insert]")?.dataset ?? {};
  if (!insert) return;
  text ??= document.getElementById("id_body");
  text.focus();
  text.setRangeText(insert, text.selectionStart, text.selectionEnd, "end");
  text.dispatchEvent(new Event("input", { bubbles: true }));
});
