// What condition rows are made of: operators by kind of value, fields that read and write a value, a row of `where`.
import { attachCombo } from "./combo.js";

const TEXT = {
  is: "is", is_not: "is not", contains: "contains", not_contains: "does not contain", starts_with: "starts with",
  ends_with: "ends with", in: "is one of", not_in: "is none of",
};
const NUMBER = { eq: "=", ne: "≠", gt: ">", gte: "≥", lt: "<", lte: "≤", between: "is between" };
const BOOLEAN = { is_true: "is true", is_false: "is false" };
export const DATE = {
  less_than_days_ago: "less than", more_than_days_ago: "more than", exactly_days_ago: "exactly", on: "on", before: "before", after: "after", between: "between",
};
const PRESENCE = { known: "is known", unknown: "is unknown" };
const OPERATORS = {
  text: { ...TEXT, ...PRESENCE }, number: { ...NUMBER, ...PRESENCE }, money: { ...NUMBER, ...PRESENCE },
  boolean: { ...BOOLEAN, ...PRESENCE }, date: { ...DATE, ...PRESENCE }, nested: PRESENCE,
};
export const operatorsFor = (kind) => OPERATORS[kind] ?? { ...TEXT, ...NUMBER, ...BOOLEAN, ...PRESENCE };

export function make(tag, properties = {}, ...children) {
  const { dataset, ...plain } = properties;
  const node = Object.assign(document.createElement(tag), plain);
  Object.assign(node.dataset, dataset);
  node.append(...children);
  return node;
}

export function select(label, options, value) {
  const node = make("select", { ariaLabel: label });
  fill(node, options, value);
  return node;
}

// Puts `options` into a select; a value that is none of them is kept beside them.
function fill(node, options, value) {
  const all = value === undefined || value in options ? options : { ...options, [value]: operatorsFor()[value] ?? value };
  node.replaceChildren(...Object.entries(all).map(([key, words]) => new Option(words, key, false, key === value)));
}

// Puts `nodes` behind `kept` in place of what stands there. `kept` itself is not touched, so it does not lose the focus.
export function follow(kept, ...nodes) {
  while (kept.nextSibling) kept.nextSibling.remove();
  kept.after(...nodes);
}

export function removeButton(label) {
  return make("button", { type: "button", className: "remove", ariaLabel: label, textContent: "✕" });
}

// Fields for the value of an operator. `read()` returns the value, null while it is not complete, undefined if the
// operator takes none.
export function valueFields(op, kind, value, { samples = [], label = "value" } = {}) {
  if (op in PRESENCE || op in BOOLEAN) return { nodes: [], read: () => undefined };
  if (op.endsWith("_days_ago")) {
    const days = field({ className: "short", inputMode: "numeric", value: Number.isInteger(value) ? value : "", ariaLabel: "days" });
    return { nodes: [days, "days ago"], read: () => whole(days.value, op === "exactly_days_ago" ? 0 : 1) };
  }
  const one = kind === "date" ? dateField : op in TEXT ? textField : kind === "money" ? moneyField : numberField;
  if (op === "between") {
    const [low, high] = [one(value?.[0], samples, `${label}, low`), one(value?.[1], samples, `${label}, high`)];
    const read = () => {
      const both = [low.read(), high.read()];
      return both.includes(null) ? null : both;
    };
    return { nodes: [low.node, "and", high.node], read };
  }
  if (op === "in" || op === "not_in") {
    const list = field({ value: [value ?? []].flat().join(", "), ariaLabel: `${label}, separated by commas`, placeholder: "a, b, c" });
    const parts = () => list.value.split(",").map((part) => part.trim()).filter(Boolean);
    return { nodes: [list], read: () => (parts().length ? parts() : null) };
  }
  const only = one(value, samples, label);
  return { nodes: [only.node], read: only.read };
}

// What was typed for one kind of value is shown in the field of another: whoever typed it sees it and changes it.
const plain = (value) => (["number", "string"].includes(typeof value) ? value : "");

const field = (properties) => make("input", { autocomplete: "off", ...properties });

function dateField(value, _, label) {
  const node = field({ type: "date", value: value ?? "", ariaLabel: label });
  return { node, read: () => node.value || null };
}

function textField(value, samples, label) {
  const node = field({ value: plain(value), ariaLabel: label });
  return { node: withSamples(node, samples), read: () => (node.value.trim() ? node.value : null) };
}

function numberField(value, samples, label) {
  const node = field({ className: "short", inputMode: "decimal", value: plain(value), ariaLabel: label });
  return { node, read: () => (node.value.trim() && isFinite(node.value) ? Number(node.value) : null) };
}

// Money is typed in units (49.00 usd) and kept in cents. Without a currency it is that of the samples.
function moneyField(value, samples, label) {
  const shown = value?.currency ? `${(value.amount / 100).toFixed(2)} ${value.currency}` : plain(value);
  const node = field({ value: shown, ariaLabel: label, placeholder: samples[0] ?? "49.00 usd" });
  const read = () => {
    const found = node.value.trim().match(/^(-?\d+(?:[.,]\d{1,2})?)\s*([a-z]{3})?$/i);
    const currency = found?.[2] ?? samples[0]?.split(" ")[1];
    if (!found || !currency) return null;
    return { amount: Math.round(Number(found[1].replace(",", ".")) * 100), currency: currency.toLowerCase() };
  };
  return { node: withSamples(node, samples), read };
}

// `samples` may be filled later: the list reads them when it opens.
function withSamples(node, samples) {
  const holder = make("span", {}, node);
  attachCombo(node, () => samples.map((value) => ({ value })));
  return holder;
}

export function whole(text, least) {
  const number = Number(text);
  return text.trim() && Number.isInteger(number) && number >= least ? number : null;
}

// Knows the metadata keys of events; each event is asked for once.
export class Keys {
  #known = new Map();

  constructor(url) {
    this.url = url;
  }

  of(event) {
    if (!event) return Promise.resolve([]);
    if (!this.#known.has(event)) {
      const answer = fetch(`${this.url}?event=${encodeURIComponent(event)}`)
        .then((response) => (response.ok ? response.json() : { keys: [] }))
        .then(({ keys }) => keys)
        .catch(() => []);
      this.#known.set(event, answer);
    }
    return this.#known.get(event);
  }
}

// An operator with its value. `about` says of what: {kind, samples, label, operators}. `read()` returns {op, value}, or
// null while the value is not complete.
export function comparison(test, about, onchange) {
  const chooser = select("operator", {});
  const node = make("span", { className: "row" }, chooser);
  const samples = [...(about.samples ?? [])];
  let { op } = test;
  let value;
  const offered = () => about.operators ?? operatorsFor(about.kind);
  const draw = (old) => {
    op ??= Object.keys(offered())[0];
    fill(chooser, offered(), op);
    value = valueFields(op, about.kind, old, { samples, label: about.label });
    follow(chooser, ...value.nodes);
  };
  draw(test.value);
  chooser.addEventListener("change", () => {
    op = chooser.value;
    draw(value.read());
    onchange(true);
  });
  return {
    node,
    // It is about something else now. An operator that this does not take goes, unless it is to be kept. The fields are
    // drawn anew only if they must be others: somebody may be typing in them, or on the way there.
    turn(to, keep = false) {
      const before = about;
      about = to;
      samples.splice(0, samples.length, ...(to.samples ?? []));
      const stays = keep || op in offered();
      const alike = to.kind === before.kind || (!before.kind && ["text", "number"].includes(to.kind));
      if (stays && alike) {
        fill(chooser, offered(), op);
        for (const input of node.querySelectorAll("input")) input.ariaLabel = input.ariaLabel.replace(before.label, to.label);
        return;
      }
      const typing = document.activeElement !== chooser && node.contains(document.activeElement);
      if (!stays) op = undefined;
      draw(value.read() ?? (keep ? test.value : undefined));
      if (typing) (node.querySelector("input") ?? chooser).focus();
    },
    read() {
      const read = value.read();
      return read === null ? null : { op, ...(read === undefined ? {} : { value: read }) };
    },
  };
}

function kindOfValue(key, { value } = {}) {
  if (key.endsWith("_date")) return "date";
  if (value?.currency || value?.[0]?.currency) return "money";
  if (typeof [value].flat()[0] === "number") return "number";
  return undefined;
}

// One row `where key op value`. `eventName()` says whose keys to offer; `onchange(structural)` hears of every edit.
export function whereRow({ key = "", ...test }, keys, eventName, onchange) {
  const keyInput = field({ value: key, ariaLabel: "metadata key", placeholder: "key" });
  const remove = removeButton("Remove this where");
  const label = () => `value of ${keyInput.value || "the key"}`;
  const compared = comparison(test, { kind: kindOfValue(key, test), label: label() }, onchange);
  const row = make("div", { className: "row" }, make("span", { textContent: "where" }), keyInput, compared.node, remove);
  const offered = () => keys.of(eventName());
  attachCombo(keyInput, async () =>
    (await offered()).map((one) => ({ value: one.key, note: [one.kind, one.samples.slice(0, 3).join(", ")].filter(Boolean).join(" · ") })),
  );
  // What came with the row (`first`) is kept, even if it is unusual for the key.
  const learn = async (first) => {
    const known = (await offered()).find((one) => one.key === keyInput.value);
    const kind = kindOfValue(keyInput.value, first) ?? known?.kind;
    compared.turn({ kind, samples: known?.samples, label: label() }, Boolean(first));
    onchange(false);
  };
  if (key) learn(test);
  keyInput.addEventListener("change", () => learn());
  row.addEventListener("input", () => onchange(false));
  row.addEventListener("change", () => onchange(false));
  remove.addEventListener("click", () => {
    row.remove();
    onchange(true);
  });
  row.read = () => {
    const read = compared.read();
    return keyInput.value.trim() && read ? { key: keyInput.value, ...read } : null;
  };
  return row;
}
