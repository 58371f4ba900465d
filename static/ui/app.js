// Small behaviours of every page, bound by data attributes, so that parts swapped in by htmx have them too.
import "./combo.js";

document.addEventListener("click", async (event) => {
  const pressed = event.target.closest("[data-copy], [data-copy-link], [data-open], [data-close]");
  if (!pressed) return;
  if (pressed.dataset.open) {
    event.preventDefault(); // what it does without JavaScript
    document.querySelector(pressed.dataset.open).showModal();
  }
  if ("close" in pressed.dataset) pressed.closest("dialog").close();
  if (!("copy" in pressed.dataset || "copyLink" in pressed.dataset)) return;
  const text = "copyLink" in pressed.dataset ? location.href : document.querySelector(pressed.dataset.copy).textContent;
  const words = pressed.textContent;
  try {
    await navigator.clipboard.writeText(text);
    pressed.textContent = "Copied";
  } catch {
    pressed.textContent = "Not allowed to copy";
  }
  setTimeout(() => (pressed.textContent = words), 1500);
});

// A file that is written while it is read: its progress is shown, and one that breaks off is never taken for whole.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-download]");
  if (!link) return;
  event.preventDefault();
  const bar = Object.assign(document.createElement("progress"), { max: 1, value: 0, ariaLabel: link.textContent });
  link.replaceWith(bar);
  try {
    const answer = await fetch(link.href);
    if (!answer.ok) throw answer;
    bar.max = Number(answer.headers.get("X-Row-Count")) + 1;
    const parts = [];
    for (const reader = answer.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      bar.value += value.reduce((lines, byte) => lines + (byte === 10), 0);
    }
    const file = document.createElement("a");
    file.href = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
    file.download = answer.headers.get("Content-Disposition").split('"')[1];
    file.click();
    URL.revokeObjectURL(file.href);
  } catch {
    alarm("The file could not be made whole, so nothing was saved. Try again.");
  }
  bar.replaceWith(link);
});

// A menu closes when something else is pressed, and by Esc.
function closeMenus(but) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== but) menu.open = false;
}
document.addEventListener("click", ({ target }) => closeMenus(target.closest("details.menu")));
document.addEventListener("keydown", ({ key }) => key === "Escape" && closeMenus());

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// A preview follows what is typed.
for (const button of document.querySelectorAll("button[data-preview]")) {
  let waiting;
  const show = () => button.form.requestSubmit(button);
  button.form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 600);
  });
  show();
}

// Choices that this browser remembers: early.js puts them on the root before a page is painted.
const { dataset } = document.documentElement;

function showChoices() {
  for (const control of document.querySelectorAll("[data-choice]")) {
    const chosen = dataset[control.dataset.choice] ?? "";
    if (control.type === "checkbox") control.checked = chosen !== "off";
    else control.value = chosen;
  }
}

document.addEventListener("change", ({ target }) => {
  const { choice } = target.dataset;
  if (!choice) return;
  const chosen = target.type === "checkbox" ? (target.checked ? "" : "off") : target.value;
  if (chosen) dataset[choice] = chosen;
  else delete dataset[choice];
  showChoices();
  try {
    localStorage.setItem(choice, chosen);
  } catch {
    // Then it holds for this page alone.
  }
});
showChoices();

// A request of htmx that fails would look as if nothing had happened.
const failed = Object.assign(document.createElement("p"), { className: "notice bad", role: "alert" });
function alarm(words) {
  failed.textContent = words;
  document.getElementById("main").prepend(failed);
}
for (const failure of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(failure, ({ detail }) => {
    alarm(detail.xhr.status === 403 ? "The page was open for too long, or this is not allowed. Reload it." : "The server did not answer: what you see may be old. Change something to ask again, or reload.");
  });
}
document.addEventListener("htmx:afterRequest", ({ detail }) => detail.successful && failed.remove());

for (const dialog of document.querySelectorAll("dialog[data-open-now]")) dialog.showModal();
// What was asked for a dialog opens it when it is there.
document.addEventListener("htmx:afterSwap", ({ target }) => "opens" in target.dataset && target.closest("dialog:not([open])")?.showModal());
