// The rule editor: a variable that is clicked goes to where the caret was last in the subject or the body.
let text;

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
