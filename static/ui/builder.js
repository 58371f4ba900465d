// <segment-builder>: rows that read as sentences, kept as a definition in the address. htmx asks for the answer.
// A row is drawn anew only when its own operator changes; text that is being typed never is.
import { attachCombo } from "./combo.js";
import { comparison, DATE, follow, Keys, make, removeButton, select, whereRow, whole } from "./parts.js";

const VERBS = { did: "did", not: "did not do", first: "first did", last: "last did" };
const COUNTS = { gte: "at least", lte: "at most", eq: "exactly", gt: "more than", lt: "fewer than", ne: "not exactly", between: "between" };
const WINDOWS = { ever: "ever", last_days: "in the last", since: "since", until: "until", between: "between" };
const TIMES = { ...DATE, known: "ever", unknown: "never" };
const PAUSE = 250; // ms of quiet after typing before the server is asked

const fromJson = (id) => JSON.parse(document.getElementById(id).textContent);

export function encode(definition) {
  const bytes = new TextEncoder().encode(JSON.stringify(definition));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function decode(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

// An event's name as the server keeps it.
const normal = (name) => name.trim().toLowerCase().replace(/[.$]/g, "-");

// How many rows there are, of each kind: when it changes, Back undoes the change.
const shape = ({ conditions }) => conditions.map(({ where = [] }) => where.length).join();

class SegmentBuilder extends HTMLElement {
  connectedCallback() {
    const { keysUrl, form, definition, saved, events, fields } = this.dataset;
    this.keys = new Keys(keysUrl);
    this.form = document.querySelector(form);
    this.events = fromJson(events);
    this.fields = fromJson(fields);
    this.saved = fromJson(saved);
    this.draw(this.saved);
    this.clean = JSON.stringify(this.read());
    const asked = fromJson(definition);
    this.sentences = new Map(fromJson("sentences").map((words, place) => [JSON.stringify(asked.conditions[place]), words]));
    this.draw(asked);
    this.shown = JSON.stringify(this.read());
    this.told();
    this.showFaults(fromJson("faults"));
    addEventListener("popstate", () => this.goTo());
    document.addEventListener("definition-faults", (event) => this.showFaults(event.detail.faults));
    document.addEventListener("htmx:afterSwap", (event) => event.target.id === "results" && this.showAlone());
    document.addEventListener("keydown", (event) => this.shortcut(event));
    this.showAlone();
  }

  draw(definition) {
    const match = select("all or any", { all: "all", any: "any" }, definition.match ?? "all");
    this.match = match;
    match.addEventListener("change", () => this.changed(true));
    this.list = make("div", { className: "stack" });
    const add = (words, condition) => {
      const button = make("button", { type: "button", className: "add", textContent: words });
      button.addEventListener("click", () => {
        const row = this.add(condition);
        row.querySelector("input").focus();
      });
      return button;
    };
    this.replaceChildren(
      make("div", { className: "row" }, "People who match ", match, " of these"),
      this.list,
      make("div", { className: "row" }, add("+ Event", { kind: "event", event: "", did: true }), add("+ Attribute", { kind: "attribute", field: "" })),
    );
    for (const condition of definition.conditions ?? []) this.add(condition, true);
    this.joints();
  }

  add(condition, quiet = false) {
    const content = make("div", { className: "row" });
    const tools = make("div", { className: "tools" }, make("span", { className: "alone" }));
    const row = make("div", { className: "condition", role: "group", ariaLabel: "Condition" }, content, tools);
    const remove = removeButton("Remove this condition");
    tools.append(remove);
    remove.addEventListener("click", () => this.remove(row));
    if (condition?.kind === "attribute") this.attribute(row, content, condition);
    else if (condition?.kind === "event" || condition?.kind === "event_time") this.event(row, content, condition);
    else this.kept(row, content, condition);
    row.addEventListener("input", () => this.changed(false));
    row.addEventListener("change", () => this.changed(false));
    this.list.append(row);
    if (!quiet) {
      this.joints();
      this.changed(true);
    }
    return row;
  }

  remove(row) {
    const rows = this.rows();
    const next = rows[rows.indexOf(row) - 1] ?? rows[rows.indexOf(row) + 1];
    row.remove();
    this.joints();
    (next ?? this).querySelector("input, select, button")?.focus();
    this.changed(true);
  }

  rows() {
    return [...this.list.querySelectorAll(":scope > .condition")];
  }

  joints() {
    for (const joint of this.list.querySelectorAll(":scope > .joint")) joint.remove();
    const words = this.match.value === "any" ? "or" : "and";
    for (const row of this.rows().slice(1)) row.before(make("div", { className: "joint", textContent: words }));
  }

  // "did event at least n times in the last n days where …" and "first did event more than n days ago"
  event(row, content, condition) {
    const timed = condition.kind === "event_time";
    const verb = select("what they did", VERBS, timed ? condition.occurrence : condition.did === false ? "not" : "did");
    const name = make("input", { value: condition.event ?? "", ariaLabel: "event", placeholder: "event", maxLength: 255 });
    const nameHolder = make("span", {}, name);
    const unseen = make("small", { className: "unseen", textContent: "not seen yet" });
    const look = () => (unseen.hidden = !name.value.trim() || this.events.some((event) => event.name === normal(name.value)));
    name.addEventListener("change", look);
    look();
    attachCombo(name, () => this.events.map(({ name, volume }) => ({ value: name, note: volume.toLocaleString("en") })));
    const rest = make("span", { className: "row" });
    const wheres = make("div", { className: "wheres" });
    const addWhere = make("button", { type: "button", className: "add", textContent: "+ where" });
    content.append(verb, nameHolder, unseen, rest);
    row.append(wheres);

    const where = (test) => {
      const one = whereRow(test, this.keys, () => name.value, (structural) => this.changed(structural));
      addWhere.parentElement.before(one);
      return one;
    };
    addWhere.addEventListener("click", () => where({}).querySelector("input").focus());
    wheres.append(make("div", {}, addWhere));

    let parts;
    const draw = (from) => {
      const when = verb.value === "first" || verb.value === "last";
      wheres.hidden = when;
      const edited = () => this.changed(true);
      const time = () => comparison({ op: "less_than_days_ago", value: 30, ...from }, { kind: "date", operators: TIMES, label: "day" }, edited);
      parts = when ? [time()] : [windowParts(from, edited)];
      if (verb.value === "did") parts.unshift(countParts(from, edited));
      rest.replaceChildren(...parts.map((part) => part.node));
    };
    draw(condition);
    for (const test of [condition.where ?? []].flat()) where(test);
    verb.addEventListener("change", () => {
      // What the old verb said of count and time stays where the new one takes it.
      draw(Object.assign({}, ...parts.map((part) => part.read())));
      this.changed(true);
    });

    row.read = () => {
      const event = name.value.trim();
      const read = parts.map((part) => part.read());
      if (!event || read.includes(null)) return null;
      if (verb.value === "first" || verb.value === "last") return { kind: "event_time", event, occurrence: verb.value, ...read[0] };
      const tests = [...wheres.querySelectorAll(":scope > .row")].map((one) => one.read());
      if (tests.includes(null)) return null;
      return { kind: "event", event, did: verb.value === "did", ...Object.assign({}, ...read), ...(tests.length ? { where: tests } : {}) };
    };
  }

  // "plan is pro"
  attribute(row, content, condition) {
    const known = (text) => this.fields.find(({ field, label }) => field === text || label === text);
    const name = make("input", { value: known(condition.field)?.label ?? String(condition.field ?? "").replace(/^custom_attributes\./, ""), ariaLabel: "attribute", placeholder: "attribute" });
    const nameHolder = make("span", {}, name);
    attachCombo(name, () => this.fields.map(({ label, kind, samples = [] }) => ({ value: label, note: samples.slice(0, 3).join(", ") || kind })));
    const about = () => {
      const { kind, samples } = known(name.value) ?? { kind: name.value.endsWith("_at") ? "date" : undefined };
      return { kind, samples, label: `value of ${name.value || "the attribute"}` };
    };
    const compared = comparison(condition, about(), () => this.changed(true));
    content.append(nameHolder, compared.node);
    name.addEventListener("change", () => compared.turn(about()));
    row.read = () => {
      const read = compared.read();
      const label = name.value.trim();
      return label && read ? { kind: "attribute", field: known(label)?.field ?? `custom_attributes.${label}`, ...read } : null;
    };
  }

  // A deeper group, or a kind this page does not edit yet: told in the server's words, kept as it is, removable.
  kept(row, content, condition) {
    const words = this.sentences?.get(JSON.stringify(condition)) ?? JSON.stringify(condition);
    content.append(make("span", { textContent: words }), make("small", { textContent: "made over the API; kept as it is" }));
    row.read = () => condition;
  }

  // The definition of the complete rows; those that are not are marked and left out.
  read() {
    const conditions = [];
    this.asked = [];
    for (const row of this.rows()) {
      const condition = row.read();
      row.classList.toggle("unfinished", condition === null);
      if (condition === null) continue;
      conditions.push(condition);
      this.asked.push(row);
    }
    return { version: 1, match: this.match.value, conditions };
  }

  changed(structural) {
    this.joints();
    // The same change comes up from its row once more, as if it were one of text.
    this.structural ||= structural;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.settle(), this.structural ? 0 : PAUSE);
  }

  settle() {
    const definition = this.read();
    const text = JSON.stringify(definition);
    const structural = this.structural || shape(definition) !== shape(JSON.parse(this.shown));
    this.structural = false;
    this.told();
    if (text === this.shown) return;
    this.shown = text;
    const address = new URL(this.form.getAttribute("hx-get"), location.href);
    address.search = definition.conditions.length ? `?q=${encode(definition)}` : "";
    history[structural ? "pushState" : "replaceState"]({}, "", address);
    this.ask(definition);
  }

  ask(definition) {
    this.showFaults([]);
    this.form.elements.q.value = encode(definition);
    this.form.dispatchEvent(new Event("refresh"));
  }

  // Back and forward: the address says what is shown.
  goTo() {
    const q = new URL(location.href).searchParams.get("q");
    const definition = q ? decode(q) : this.saved;
    this.draw(definition);
    this.shown = JSON.stringify(this.read());
    this.told();
    this.ask(definition);
  }

  // What depends on the state but is no part of it: the hidden field of the save form, "Unsaved changes".
  told() {
    const definition = this.read();
    const text = JSON.stringify(definition);
    for (const input of document.querySelectorAll("#save input[name=definition]")) input.value = text;
    const unsaved = document.getElementById("unsaved");
    const unfinished = this.rows().some((row) => row.classList.contains("unfinished"));
    if (unsaved) unsaved.hidden = !this.saved.conditions.length || text === this.clean;
    const save = document.getElementById("open-save");
    if (!save) return;
    save.disabled = !definition.conditions.length || unfinished;
    save.title = save.disabled ? "Add a condition and finish each row first" : "";
  }

  showFaults(faults) {
    for (const old of this.querySelectorAll(".fault")) old.remove();
    for (const { path, message } of faults) {
      const row = this.asked[Number(path.match(/^conditions\[(\d+)\]/)?.[1])];
      (row ?? this).append(make("p", { className: "fault", role: "alert", textContent: message }));
    }
  }

  // How many match each row alone, so that the one that empties the result is seen.
  showAlone() {
    const counts = document.querySelector("[data-row-counts]")?.dataset.rowCounts.split(" ").filter(Boolean) ?? [];
    for (const row of this.rows()) row.querySelector(".alone").textContent = "";
    if (counts.length !== this.asked.length || counts.length < 2) return;
    counts.forEach((count, place) => {
      this.asked[place].querySelector(".alone").textContent = `${Number(count).toLocaleString("en")} alone`;
    });
  }

  shortcut(event) {
    const typing = event.target.closest("input, select, textarea, [contenteditable], dialog");
    if ((event.ctrlKey || event.metaKey) && event.key === "s" && document.getElementById("open-save")) {
      event.preventDefault();
      document.getElementById("open-save").click();
    } else if ((event.ctrlKey || event.metaKey) && event.key === "Backspace") {
      const row = event.target.closest("segment-builder .condition");
      if (row) this.remove(row);
    } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const place = { e: 0, a: 1 }[event.key];
      if (place === undefined) return;
      event.preventDefault();
      this.querySelectorAll(":scope > .row:last-child .add")[place].click();
    }
  }
}

function countParts({ count }, onchange) {
  const op = select("how often", COUNTS, count?.op ?? "gte");
  const node = make("span", { className: "row" }, op);
  const inputs = (values) => values.map((value, place) => make("input", { className: "short", inputMode: "numeric", value, ariaLabel: place ? "times, high" : "times" }));
  let fields;
  const draw = (values) => {
    fields = inputs(values);
    follow(op, fields[0], ...(fields[1] ? ["and", fields[1]] : []), "times");
  };
  draw(count ? [count.value].flat() : [1]);
  op.addEventListener("change", () => {
    draw(op.value === "between" ? [fields[0].value, ""] : [fields[0].value]);
    onchange();
  });
  const read = () => {
    const values = fields.map((field) => whole(field.value, op.value === "lt" ? 2 : 1));
    if (values.includes(null)) return null;
    if (op.value === "gte" && values[0] === 1) return {};
    return { count: { op: op.value, value: values.length > 1 ? values : values[0] } };
  };
  return { node, read };
}

function windowParts({ within }, onchange) {
  const shape = !within ? "ever" : within.last_days ? "last_days" : within.since && within.until ? "between" : within.since ? "since" : "until";
  const chooser = select("when", WINDOWS, shape);
  const node = make("span", { className: "row" }, chooser);
  let read;
  const draw = (from = {}) => {
    const day = (side) => make("input", { type: "date", value: from[side] ?? "", ariaLabel: side });
    if (chooser.value === "ever") {
      follow(chooser);
      read = () => ({});
    } else if (chooser.value === "last_days") {
      const days = make("input", { className: "short", inputMode: "numeric", value: from.last_days ?? 30, ariaLabel: "days" });
      follow(chooser, days, "days");
      read = () => (whole(days.value, 1) === null ? null : { within: { last_days: whole(days.value, 1) } });
    } else {
      const sides = chooser.value === "between" ? ["since", "until"] : [chooser.value];
      const inputs = sides.map(day);
      follow(chooser, inputs[0], ...(inputs[1] ? ["and", inputs[1]] : []));
      read = () => (inputs.every((input) => input.value) ? { within: Object.fromEntries(sides.map((side, place) => [side, inputs[place].value])) } : null);
    }
  };
  draw(within);
  chooser.addEventListener("change", () => {
    draw();
    onchange();
  });
  return { node, read: () => read() };
}

customElements.define("segment-builder", SegmentBuilder);
