// The builder, and the rule editor: a form whose rows the server draws. It is asked again when a choice was made or typing has paused; the answer
// brings the results, and the rows anew where more than a text in them has changed.
const PAUSE = 250; // ms of quiet after typing before the server is asked
const SLOW = 1000; // ms after which the newest people are shown while all are counted
const ADDED = { e: "event", a: "attribute", s: "membership", g: "group" };

const form = document.querySelector("[data-builder]");
const fields = () => [...form.querySelectorAll(".rows :is(input:not([type=hidden]), select, .add)")];
const said = () => new URLSearchParams(new FormData(form)).toString();
let waiting, slow; // timers
let caret; // where it was when the rows were drawn anew: id of the field, start, end
let typed; // keys that are pressed while a new row is on its way
let act; // of the button that was pressed, until it is sent
let sent = said();
let values = new Map();

function ask(pause = 0) {
  clearTimeout(waiting);
  waiting = setTimeout(() => act === undefined && said() !== sent && form.dispatchEvent(new Event("refresh")), pause);
}

function next(field) {
  if (!field.closest(".rows")) return;
  const following = fields()[fields().indexOf(field) + 1];
  following?.focus();
  following?.select?.(); // as Tab does
}

// A name counts once it is whole; any other text while it is typed.
form.addEventListener("input", ({ target }) => "name" in target.dataset || ask(PAUSE));
form.addEventListener("change", ({ target }) => {
  ask();
  // By then the focus is where it was going. After a name was picked it goes on.
  if ("name" in target.dataset) setTimeout(() => target === document.activeElement && next(target));
});

// What is likely to be replaced is selected, by whatever way one came.
form.addEventListener("focusin", ({ target }) => target.matches("input.short") && target.select());

// Whatever is no act on the rows goes its own way.
form.addEventListener("submit", (event) => {
  const { submitter } = event;
  if (submitter.name === "action") return;
  event.preventDefault();
  act = submitter.value;
  if (submitter.matches(".add")) typed = "";
  form.dispatchEvent(new Event("refresh"));
});
// htmx would send the act of any button that merely has the focus, and to where that button leads.
form.addEventListener("htmx:configRequest", ({ target, detail }) => {
  if (target !== form) return;
  detail.path = form.getAttribute("hx-post");
  detail.formData.set("act", act ?? "");
  act = undefined;
});
form.addEventListener("htmx:beforeRequest", ({ target }) => {
  if (target !== form) return;
  sent = said();
  values = new Map(fields().map(({ id, value }) => [id, value]));
  clearTimeout(slow);
  if (!("quick" in form.dataset)) return;
  const asked = (slow = setTimeout(async () => {
    const body = new FormData(form);
    body.set("quick", "1");
    const answer = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const parts = page.querySelectorAll("body > :not([hx-swap-oob])");
    if (answer.ok && asked === slow) document.getElementById("results").replaceChildren(...parts);
  }, SLOW));
});

form.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.successful) typed = undefined;
  clearTimeout(slow);
  slow = undefined;
});

// What was typed since the server was asked is still there when its answer comes.
document.addEventListener("htmx:oobBeforeSwap", ({ target, detail: { fragment } }) => {
  if (!target.matches(".rows")) return;
  const { id, selectionStart, selectionEnd } = document.activeElement;
  caret ??= [id, selectionStart, selectionEnd];
  for (const { id, value } of fields()) {
    const drawn = value !== values.get(id) && fragment.getElementById(id);
    if (drawn) drawn.value = value;
  }
});

document.addEventListener("htmx:afterSwap", () => {
  const field = document.activeElement;
  if (field.id && field.id === caret?.[0]) field.setSelectionRange?.(caret[1], caret[2]);
  caret = undefined;
});

document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.requestConfig?.elt !== form) return;
  const field = document.activeElement;
  if (typed && field.matches(".rows input")) {
    field.value = typed + field.value; // some may have come in between
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  typed = undefined;
});

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const press = (button) => {
    event.preventDefault();
    button?.click();
  };
  if (key === "Enter" && target.matches(".rows input")) {
    event.preventDefault();
    next(target);
  } else if (event.ctrlKey || event.metaKey) {
    if (key === "s") press(document.getElementById("open-save"));
    if (key === "Backspace") press(target.closest(".condition")?.querySelector(":scope > .tools > .remove"));
  } else if (!event.altKey && document.documentElement.dataset.keys !== "off" && !target.closest("input, select, textarea, dialog")) {
    if (typed !== undefined && (key.length === 1 || key === "Enter")) {
      event.preventDefault();
      if (key.length === 1) typed += key;
    } else if (key === "?") press(document.querySelector("[data-open='#keys']"));
    else if (ADDED[key]) {
      const adder = form.querySelector(`.add[value="add  ${ADDED[key]}"]`);
      if (adder.checkVisibility()) press(adder);
    }
  }
});

if (document.querySelector("#results [data-unsettled]")) form.dispatchEvent(new Event("refresh"));
