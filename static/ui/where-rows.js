// <where-rows data-name data-keys-url data-event data-value>: the metadata conditions of a rule, kept as JSON in a
// hidden field of its form.
import { Keys, make, whereRow } from "./parts.js";

class WhereRows extends HTMLElement {
  connectedCallback() {
    const { name, keysUrl, event, value } = this.dataset;
    this.classList.add("stack");
    this.keys = new Keys(keysUrl);
    this.eventInput = document.querySelector(event);
    this.hidden_ = make("input", { type: "hidden", name, value });
    this.rows = make("div", { className: "stack" });
    const add = make("button", { type: "button", className: "add", textContent: "+ where" });
    add.addEventListener("click", () => this.add({}).querySelector("input").focus());
    this.append(this.hidden_, this.rows, make("div", {}, add));
    for (const where of JSON.parse(value || "[]")) this.add(where);
    this.eventInput.addEventListener("change", () => this.offer());
    this.closest("form").addEventListener("submit", () => this.keep());
    this.offer();
  }

  add(where) {
    const row = whereRow(where, this.keys, () => this.eventInput.value, () => this.keep());
    this.rows.append(row);
    return row;
  }

  // A row that is not complete is sent as it is, so that the server says what is missing.
  keep() {
    const read = [...this.rows.children].map((row) => row.read() ?? { key: row.querySelector("input").value, op: "is", value: "" });
    this.hidden_.value = JSON.stringify(read);
  }

  // Names the keys of the chosen event where the text of the message is written.
  async offer() {
    const place = document.querySelector("[data-variables]");
    if (!place) return;
    const keys = await this.keys.of(this.eventInput.value);
    const names = keys.map(({ key }) => make("code", { textContent: `event.metadata.${key}` }));
    place.replaceChildren(...(names.length ? names.flatMap((name) => [name, " "]) : ["none seen yet"]));
  }
}

customElements.define("where-rows", WhereRows);
