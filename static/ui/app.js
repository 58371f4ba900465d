// Small behaviours of every page, bound by data attributes, so that parts swapped in by htmx have them too.
import "./combo.js";

document.addEventListener("click", async (event) => {
  const pressed = event.target.closest("[data-copy], [data-copy-link], [data-open], [data-close]");
  if (!pressed) return;
  if (pressed.dataset.open) document.querySelector(pressed.dataset.open).showModal();
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

// A request of htmx that fails would look as if nothing had happened.
const failed = Object.assign(document.createElement("p"), { className: "notice bad", role: "alert" });
for (const failure of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(failure, () => {
    failed.textContent = "The server did not answer: what you see may be old. Change something to ask again, or reload.";
    document.getElementById("main").prepend(failed);
  });
}
document.addEventListener("htmx:afterRequest", ({ detail }) => detail.successful && failed.remove());

for (const dialog of document.querySelectorAll("dialog[data-open-now]")) dialog.showModal();
