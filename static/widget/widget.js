// Eventsapp in the pages of an app. Takes the place of window.Intercom, keeps events until they are stored, and shows
// in-app messages. No dependencies, ES2019. Everything that a page calls is in `methods`; docs/javascript.md tells of it.
(() => {
  "use strict";

  const script = document.currentScript || document.querySelector('script[src*="/widget/"]');
  const before = window.Intercom;
  if (before && before.isEventsapp) {
    before("update", window.intercomSettings);
    return;
  }
  // The page's api_base is not trusted: the npm package writes Intercom's own into it.
  const { origin, pathname } = new URL(script.src);
  const base = origin + pathname.replace(/\/$/, "");
  const app = base.split("/").pop();

  const MOST_EVENTS = 10000, MOST_BYTES = 2e6; // that wait to be sent
  const BATCH_EVENTS = 500, BATCH_BYTES = 5e4; // of one request, small enough to outlive its page
  const MOST_CLOSED = 20; // messages that this browser remembers to have been closed
  const UPDATES = 20, UPDATES_IN = 30 * 60e3;
  const SOON = 100, SAVE_AFTER = 250, ADOPT_AFTER = 15e3, LONGEST_PAUSE = 60e3; // milliseconds
  const POLL = 2e3, POLL_IDLE = 10e3, IDLE_AFTER = 60e3, EAGER = [300, 700, 1200, 1700];

  const log = (how, ...said) => console[how]("[Intercom, by Eventsapp]", ...said);
  const seconds = () => Math.floor(Date.now() / 1000);
  const bytes = (text) => new TextEncoder().encode(text).length;
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

  function random() {
    const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.slice(0, 12) + "4" + hex.slice(13, 16) + "89ab"[parseInt(hex[16], 16) % 4] + hex.slice(17);
  }
  const uuid = () => random().replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");

  // What the browser remembers ------------------------------------------------------------------------------------

  const store = {
    keys() { try { return Object.keys(localStorage); } catch (_) { return []; } },
    get(key) { try { return localStorage.getItem(key); } catch (_) { return null; } },
    set(key, value) {
      try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch (_) { /* full, or off */ }
    },
  };

  // A sandboxed page has none.
  function cookie(name) {
    try { return (document.cookie.match(`(?:^|; )${name}=([^;]*)`) || [])[1]; } catch (_) { return undefined; }
  }

  // On the widest domain that takes it, so that www. and app. are one browser.
  function setCookie(name, value) {
    const parts = location.hostname.split(".");
    const life = value === null ? "max-age=0" : "max-age=31536000";
    for (let place = parts.length - 2; place >= -1; place -= 1) {
      const domain = place < 0 || /^[\d.]+$/.test(location.hostname) ? "" : `; domain=.${parts.slice(place).join(".")}`;
      try {
        document.cookie = `${name}=${value || ""}; path=/; samesite=lax; ${life}${domain}${location.protocol === "https:" ? "; secure" : ""}`;
      } catch (_) { return false; }
      if (value !== null && cookie(name) === value) return true;
    }
    return false;
  }

  const SECRETS = { device_secret: `intercom-device-id-${app}`, visit_secret: `intercom-id-${app}` };
  const VISITOR = `intercom-visitor-${app}`, QUEUE = `intercom-queue-${app}-`, DONE = `intercom-done-${app}`;
  const own = QUEUE + random();

  // Where there are no cookies, localStorage has them; where there is neither, this page's memory.
  let remembered = {};

  function renew(name) {
    const value = (remembered[name] = random());
    if (!setCookie(SECRETS[name], value)) store.set(SECRETS[name], value);
    return value;
  }

  function forget() {
    remembered = {};
    for (const key of Object.values(SECRETS)) {
      setCookie(key, null);
      store.set(key, null);
    }
    store.set(VISITOR, null);
    store.set(DONE, null);
  }

  const cookieOrStored = (name) => cookie(SECRETS[name]) || store.get(SECRETS[name]) || remembered[name];
  const secret = (name) => cookieOrStored(name) || renew(name);
  const ownSecrets = () => ({ device_secret: secret("device_secret"), visit_secret: secret("visit_secret") });

  // What waits to be sent -----------------------------------------------------------------------------------------

  // One for each person whose events wait: what the page said of them, the browser's secrets of that time, the token of
  // their session once they have one, and the events, each as [its JSON but for its time, that time, its bytes]. `asks`
  // is whether to boot (again).
  let senders = [];
  let me = null;
  // A clock that is wrong by minutes is corrected; by less, each answer would tell another time of one event.
  const CLOCK = `intercom-clock-${app}`, WRONG = 120;
  let skew = Number(store.get(CLOCK)) || 0;
  let most = BATCH_EVENTS, lost = 0, wasFull = false, busy = false, failures = 0, timer = 0, saving = 0;
  const sender = (claim, token = null, events = [], secrets = null) => ({ claim, token, events, secrets, asks: !token, kind: null, mailbox: null });
  const waiting = () => senders.reduce((sum, one) => sum + one.events.length, 0);
  const weight = () => senders.reduce((sum, one) => one.events.reduce((inner, event) => inner + event[2], sum), 0);
  let held = 0, heldBytes = 0;

  function save(now) {
    clearTimeout(saving);
    saving = 0;
    const kept = senders.filter((one) => one.events.length).map(({ claim, token, events, secrets }) => ({ claim: claim && whoIn(claim), token, events, secrets }));
    store.set(own, kept.length ? JSON.stringify({ at: now === "left" ? 0 : Date.now(), senders: kept }) : null);
  }
  const saveSoon = () => { saving = saving || setTimeout(save, SAVE_AFTER); };

  // What pages that are gone could not send. Two that take up the same send it twice, and the server knows it by its ids.
  function adopt() {
    for (const key of store.keys().filter((name) => name.startsWith(QUEUE) && name !== own)) {
      try {
        const { at, senders: theirs } = JSON.parse(store.get(key));
        if (Date.now() - at < ADOPT_AFTER) continue;
        for (const { claim, token, events, secrets } of theirs) senders.unshift(sender(claim, token, events, secrets));
        store.set(key, null);
      } catch (_) {
        store.set(key, null);
      }
    }
    held = waiting();
    heldBytes = weight();
    if (held) save();
  }

  function track(name, metadata) {
    if (typeof name !== "string" || !name.trim()) return log("error", "trackEvent needs the name of what happened, such as 'invited-friend'.");
    let json;
    try {
      json = JSON.stringify({ uuid: uuid(), event_name: name, metadata: metadata === undefined ? null : metadata }).slice(0, -1);
    } catch (error) {
      return log("error", `The metadata of ${name} cannot be sent: ${error.message}`);
    }
    if (me && me.isRefused) return log("error", `${name} is dropped: the boot was refused.`);
    const size = bytes(json) + 30;
    if (held >= MOST_EVENTS || heldBytes + size > MOST_BYTES) {
      lost += 1;
      if (!wasFull) log("error", `Too many events wait to be sent: ${name} and what follows is not taken.`);
      wasFull = true;
      return;
    }
    if (!me) senders.push((me = sender(null)));
    held += 1;
    heldBytes += size;
    me.events.push([json, seconds() + skew, size]);
    saveSoon();
    flushIn(SOON);
  }

  function take(from) {
    let count = 0, size = 0;
    while (count < from.events.length && count < most && (!count || size + from.events[count][2] < BATCH_BYTES)) {
      size += from.events[count][2];
      count += 1;
    }
    return from.events.slice(0, count);
  }

  function bodyOf(from, batch) {
    const events = batch.map(([json, at]) => `${json},"created_at":${at}}`).join(",");
    return `{"session_token":${JSON.stringify(from.token)},"lost":${lost},"events":[${events}]}`;
  }

  function done(from, batch) {
    const gone = new Set(batch);
    from.events = from.events.filter((event) => !gone.has(event));
    held = waiting();
    heldBytes = weight();
    wasFull = false;
    saveSoon();
  }

  const flushIn = (pause) => { timer = timer || setTimeout(flush, pause); };

  async function flush() {
    timer = 0;
    if (busy) return;
    busy = true;
    try {
      for (const one of [...senders]) {
        if (one.asks && one.claim) await introduce(one);
        while (one.token && one.events.length) await send(one);
      }
      failures = 0;
    } catch (error) {
      if (!(error instanceof Later)) log("error", error);
      failures += 1;
      flushIn(Math.min(LONGEST_PAUSE, 500 * 2 ** failures) * (0.5 + Math.random()));
    } finally {
      busy = false;
      senders = senders.filter((one) => one === me || one.events.length);
    }
    if (senders.some((one) => (one.asks && one.claim) || (one.token && one.events.length))) flushIn(failures ? LONGEST_PAUSE : SOON);
  }

  class Later extends Error {}

  // The answer's JSON, or the first sentence of a refusal. Throws Later for what may be otherwise next time.
  async function post(path, body) {
    let response;
    try {
      response = await fetch(base + path, { method: "POST", body, keepalive: bytes(body) < 6e4, credentials: "omit" });
    } catch (_) {
      throw new Later();
    }
    const { status } = response;
    // A workspace may allow less at once.
    if (status === 429) most = Math.max(1, most >> 1);
    if (status === 429 || status >= 500 || status === 408) throw new Later();
    const answer = await response.json().catch(() => { throw new Later(); });
    return status < 300 ? { answer, status } : { status, refusal: answer.errors ? answer.errors[0].message : `refused (${status})` };
  }

  async function send(from) {
    const batch = take(from), told = lost;
    const { answer, refusal, status } = await post("/events", bodyOf(from, batch));
    if (status === 401 && from.claim && !from.wasRefused) {
      from.wasRefused = true;
      from.asks = true;
      return introduce(from);
    }
    if (answer) {
      from.wasRefused = false;
      most = BATCH_EVENTS;
      from.token = answer.session_token;
      lost -= told;
      for (const place of Object.keys(answer.refused)) log("error", `${JSON.parse(`${batch[place][0]}}`).event_name} was refused: ${answer.refused[place][0].message}`);
      if (from === me) look(EAGER);
    } else {
      log("error", `${batch.length} events were refused: ${refusal}`);
    }
    done(from, batch);
  }

  // Say who is there. Whoever is refused has no session, and what they did is dropped aloud.
  async function introduce(one) {
    const { claim } = one;
    one.secrets = one.secrets || ownSecrets();
    const { answer, refusal } = await post("/boot", JSON.stringify(Object.assign({ settings: claim }, one.secrets)));
    if (one.claim === claim) one.asks = false;
    one.isRefused = Boolean(refusal);
    if (refusal) {
      log("error", `Not booted: ${refusal}`);
      if (one.events.length) log("error", `${one.events.length} events are dropped with it.`);
      one.token = null;
      return done(one, one.events);
    }
    const wrong = Math.abs(answer.now - seconds()) < WRONG ? 0 : answer.now - seconds();
    if (wrong !== skew) {
      // What this page has not sent yet; what it took up from others has its time.
      if (one === me && !one.token) for (const event of one.events) event[1] += wrong - skew;
      skew = wrong;
      store.set(CLOCK, wrong ? String(wrong) : null);
    }
    one.token = answer.session_token;
    one.mailbox = answer.mailbox_token;
    one.kind = answer.kind;
    saveSoon();
    // The next who is nobody is another visitor.
    if (answer.merged && cookieOrStored("visit_secret") === one.secrets.visit_secret) renew("visit_secret");
    if (one === me && answer.kind === "visitor") store.set(VISITOR, answer.visitor_id);
    for (const sentence of answer.ignored) log("warn", sentence);
    if (one === me) {
      settings = Object.assign({}, answer.messenger, me.claim);
      draw();
      look([0]);
      for (const hook of hooks.ready.splice(0)) call(hook);
    }
  }

  function leave() {
    if (held) save("left");
    tellReports();
    for (const one of senders) {
      let sent = 0;
      while (one.token && sent < one.events.length) {
        const batch = take({ events: one.events.slice(sent) });
        if (!navigator.sendBeacon(`${base}/events`, bodyOf(one, batch))) return;
        sent += batch.length;
      }
    }
  }

  // Messages ------------------------------------------------------------------------------------------------------

  let settings = {};
  let messages = [], reports = [], answered = "", unread = 0, polling = 0, lastMove = Date.now(), isOpen = false, areHidden = false;
  const hooks = { ready: [], show: [], hide: [], unread: [] };
  const call = (hook, ...said) => { try { hook(...said); } catch (error) { log("error", error); } };

  // Ask at these times (in milliseconds from now), then as often as somebody is there to read.
  function look([first, ...others] = []) {
    clearTimeout(polling);
    if (!me || !me.mailbox || me.kind === "visitor" || document.hidden) return;
    const pause = first !== undefined ? first : Date.now() - lastMove > IDLE_AFTER ? POLL_IDLE : POLL;
    const began = Date.now();
    polling = setTimeout(async () => {
      await poll(me);
      const passed = Date.now() - began;
      look(others.map((at) => Math.max(at - passed, 100)));
    }, pause);
  }

  async function poll(whose) {
    const { token, mailbox } = whose;
    try {
      for (const report of [...reports]) {
        await post("/seen", JSON.stringify(Object.assign({ session_token: token }, report)));
        reports = reports.filter((other) => other !== report);
      }
      // no-cache: the browser itself asks whether what it has is still right.
      const response = await fetch(`${base}/messages?mailbox_token=${mailbox}`, { cache: "no-cache", credentials: "omit" });
      const text = await response.text();
      if (response.status === 401 && whose === me && !whose.wasRefused) {
        // Its proof is over: the page's may still hold.
        whose.wasRefused = whose.asks = true;
        flushIn(0);
      }
      if (response.ok) whose.wasRefused = false;
      if (whose !== me || !response.ok || text === answered) return;
      answered = text;
      const gone = dismissed();
      messages = JSON.parse(text).messages.filter(({ id }) => !gone.includes(id));
      draw();
    } catch (_) { /* the next one may be answered */ }
  }

  function report(message, what) {
    reports.push({ message: message.id, what });
    look([0]);
  }

  // What this page did not tell yet, when nothing may come after; the server takes the same twice for one.
  function tellReports() {
    if (!me || !me.token) return;
    for (const report of reports) navigator.sendBeacon(`${base}/seen`, JSON.stringify(Object.assign({ session_token: me.token }, report)));
  }

  // The next page, and another tab, may ask before the server heard of it: nothing that was closed comes back.
  let closed = [];
  const dismissed = () => [...new Set([...(store.get(DONE) || "").split(" "), ...closed])].filter(Boolean).slice(-MOST_CLOSED);
  function dismiss(message) {
    closed.push(message.id);
    store.set(DONE, dismissed().join(" "));
    report(message, "dismissed");
  }

  function counted() {
    const now = messages.filter(({ viewed }) => !viewed).length;
    if (now === unread) return;
    unread = now;
    hooks.unread.forEach((hook) => call(hook, unread));
  }

  // Built node by node out of JSON: there is no text that a browser could take for markup.
  const TAGS = /^(a|abbr|b|blockquote|br|center|code|div|em|h[1-6]|hr|i|img|li|ol|p|pre|s|small|span|strong|sub|sup|table|tbody|td|tfoot|th|thead|tr|u|ul)$/;
  const ATTRIBUTES = { href: /^(https?:|mailto:|tel:)/i, src: /^https?:/i, alt: /^/, title: /^/, width: /^\d+%?$/, height: /^\d+%?$/, colspan: /^\d+$/, rowspan: /^\d+$/ };
  function built(node) {
    if (typeof node === "string") return document.createTextNode(node);
    const [tag, attributes, children] = node;
    const element = document.createElement(TAGS.test(tag) ? tag : "span");
    for (const name of Object.keys(attributes)) {
      if (name === "style") element.style.cssText = attributes.style;
      else if (ATTRIBUTES[name] && ATTRIBUTES[name].test(attributes[name])) element.setAttribute(name, attributes[name]);
    }
    if (tag === "img" && !element.hasAttribute("alt")) element.alt = "";
    if (tag === "a") Object.assign(element, { target: "_blank", rel: "noopener noreferrer" });
    element.append(...children.map(built));
    return element;
  }

  const STYLE = `
    :host { all: initial }
    .all { --accent: #2456d6; --on-accent: #fff; --link: var(--accent); --panel: #fff; --text: #161a22; --soft: #555c6b; --line: #dfe3ea;
      font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; color: var(--text); text-align: start }
    .all.dark { --link: color-mix(in srgb, var(--accent) 45%, #fff); --panel: #1a1e26; --text: #e9ecf2; --soft: #a3abba; --line: #2d3340 }
    .card, .banner { position: fixed; box-sizing: border-box; background: var(--panel); color: var(--text); border: 1px solid var(--line);
      box-shadow: 0 6px 28px #0003; overflow: auto; overflow-wrap: anywhere }
    .card { width: min(360px, calc(100vw - 24px)); max-height: min(70vh, 560px); border-radius: 12px; padding: 16px 18px 18px;
      bottom: calc(var(--y) + var(--lift)); border-top: 4px solid var(--accent) }
    .right .card, .right .launcher { right: max(12px, var(--x)) } .left .card, .left .launcher { left: max(12px, var(--x)) }
    .banner { inset: 0 0 auto; padding: 12px 56px 12px 20px; border-width: 0 0 3px; border-bottom-color: var(--accent); max-height: 50vh }
    .entry + .entry { margin-top: 14px; padding-top: 12px; border-top: 1px solid var(--line) }
    h2 { font-size: 1.05em; line-height: 1.3; margin: 0 32px 6px 0 } p { margin: 0 0 8px } :is(p, ul, ol):last-child { margin-bottom: 0 }
    .banner h2 { display: inline; margin-right: 10px } .banner .body { display: inline } .banner .body > p { display: inline }
    a { color: var(--link) } img { max-width: 100%; height: auto } .empty { color: var(--soft) }
    button { font: inherit; cursor: pointer; border: 0; background: none; color: inherit }
    .close { position: absolute; top: 8px; right: 8px; width: 32px; height: 32px; border-radius: 8px; font-size: 20px; line-height: 1; color: var(--soft) }
    .close:hover { background: var(--line) } :focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
    .launcher { position: fixed; bottom: var(--y); width: 48px; height: 48px; border-radius: 50%; background: var(--accent); color: var(--on-accent); box-shadow: 0 4px 16px #0004 }
    .launcher svg { width: 24px; height: 24px; vertical-align: middle; fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round }
    .count { position: absolute; top: -4px; right: -4px; min-width: 20px; padding: 0 5px; box-sizing: border-box; border-radius: 10px; background: #a81c2a; color: #fff; font-size: 12px; line-height: 20px }
    @media (prefers-reduced-motion: no-preference) { .card, .banner { animation: come .18s ease-out } @keyframes come { from { opacity: 0; transform: translateY(8px) } } }
    @media print { .all { display: none } }`;

  let host, root, shown;

  function element(tag, className, attributes = {}, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    for (const name of Object.keys(attributes)) made.setAttribute(name, attributes[name]);
    made.append(...children);
    return made;
  }

  function makeHost() {
    host = element("div", "", { id: "intercom-container" });
    // What the page's own styles say of its elements must not reach ours.
    host.style.setProperty("all", "initial", "important");
    host.style.setProperty("display", "block", "important");
    const shadow = host.attachShadow({ mode: "open" });
    if ("adoptedStyleSheets" in shadow && window.CSSStyleSheet && CSSStyleSheet.prototype.replaceSync) {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      shadow.adoptedStyleSheets = [sheet];
    } else {
      shadow.append(element("style", "", {}, STYLE));
    }
    root = element("div", "all");
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close();
    });
    root.addEventListener("click", (event) => {
      const link = event.composedPath().find((one) => one.tagName === "A");
      const entry = link && link.closest("[data-id]");
      if (entry) report({ id: entry.dataset.id }, "clicked");
    });
    shadow.append(root);
  }

  function look_of(name, fallback) {
    const value = settings[name];
    return value === undefined || value === null || value === "" ? fallback : value;
  }

  // Whether dark text is read more easily on it, as WCAG reckons; only of #rrggbb, which is what the settings have.
  function isBright(colour) {
    const found = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour);
    if (!found) return false;
    const [red, green, blue] = found.slice(1).map((part) => Math.pow(parseInt(part, 16) / 255, 2.2));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18;
  }

  function draw() {
    counted();
    if (!me) return;
    if (!document.body) return document.addEventListener("DOMContentLoaded", draw, { once: true });
    if (!host) makeHost();
    if (!host.isConnected) document.body.append(host);
    const theme = look_of("theme_mode", "system");
    const isDark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    const hasLauncher = me && me.kind !== "visitor" && !look_of("hide_default_launcher", false);
    root.className = `all ${look_of("alignment", "right") === "left" ? "left" : "right"}${isDark ? " dark" : ""}`;
    const numbers = { "--x": look_of("horizontal_padding", 20), "--y": look_of("vertical_padding", 20), "--lift": hasLauncher ? 60 : 0 };
    for (const name of Object.keys(numbers)) root.style.setProperty(name, `${parseInt(numbers[name], 10) || 0}px`);
    const colour = look_of("action_color", "");
    if (colour && CSS.supports("color", colour)) {
      root.style.setProperty("--accent", colour);
      root.style.setProperty("--on-accent", isBright(colour) ? "#161a22" : "#fff");
    }
    host.style.setProperty("z-index", String(parseInt(look_of("z_index", 2147483000), 10)), "important");
    host.style.setProperty("position", "relative", "important");
    const next = areHidden ? null : messages[messages.length - 1] || null;
    const now = isOpen ? `all ${messages.map(({ id }) => id)}` : next ? next.id : "";
    if (now !== shown) {
      const hadFocus = isOpen && host.shadowRoot.activeElement;
      shown = now;
      for (const old of root.querySelectorAll(".card, .banner")) old.remove();
      if (isOpen) root.append(panel());
      else if (next) root.append(alone(next));
      if (hadFocus && isOpen) root.querySelector("[role=dialog]").focus();
    }
    drawLauncher(hasLauncher);
  }

  function entry(message) {
    const body = element("div", "body", {}, ...message.body.map(built));
    const made = element("div", "entry", { "data-id": message.id });
    if (message.subject) made.append(element("h2", "", {}, message.subject));
    made.append(body);
    if (!message.viewed) {
      message.viewed = true;
      report(message, "viewed");
      counted();
    }
    return made;
  }

  const closeButton = (label) => {
    const made = element("button", "close", { type: "button", "aria-label": label }, "×");
    made.addEventListener("click", close);
    return made;
  };

  function alone(message) {
    const style = message.style === "banner" ? "banner" : "card";
    return element("section", style, { role: "status", "aria-label": message.subject || "Message" }, entry(message), closeButton("Dismiss"));
  }

  function panel() {
    const list = messages.length ? messages.map(entry) : [element("p", "empty", {}, "No messages.")];
    return element("section", "card", { role: "dialog", "aria-label": "Messages", tabindex: "-1" }, ...list, closeButton("Close"));
  }

  let launcher, lastFocus;
  function drawLauncher(isThere) {
    if (!isThere) {
      if (launcher) launcher.remove();
      launcher = null;
      return;
    }
    if (!launcher) {
      launcher = element("button", "launcher", { type: "button" });
      const ns = "http://www.w3.org/2000/svg";
      const icon = document.createElementNS(ns, "svg");
      icon.setAttribute("viewBox", "0 0 24 24");
      icon.setAttribute("aria-hidden", "true");
      const path = document.createElementNS(ns, "path");
      path.setAttribute("d", "M4 5h16v11H9l-5 4z");
      icon.append(path);
      launcher.append(icon);
      launcher.addEventListener("click", () => (isOpen ? close() : open()));
      root.prepend(launcher);
    }
    launcher.setAttribute("aria-label", unread ? `Messages, ${unread} unread` : "Messages");
    launcher.setAttribute("aria-expanded", String(isOpen));
    const old = launcher.querySelector(".count");
    if (old) old.remove();
    if (unread) launcher.append(element("span", "count", { "aria-hidden": "true" }, String(unread)));
  }

  function open() {
    if (isOpen || !me) return;
    isOpen = true;
    lastFocus = document.activeElement;
    draw();
    const dialog = root && root.querySelector("[role=dialog]");
    if (dialog) dialog.focus();
    hooks.show.forEach((hook) => call(hook));
  }

  // The open panel, or else the message that is shown alone; that one does not come back.
  function close() {
    const hadFocus = host && host.shadowRoot.activeElement;
    if (isOpen) {
      isOpen = false;
      hooks.hide.forEach((hook) => call(hook));
    } else if (messages.length && !areHidden) {
      dismiss(messages.pop());
    }
    draw();
    if (!hadFocus) return;
    const next = root.querySelector(".close") || launcher;
    if (lastFocus && lastFocus.isConnected && lastFocus !== document.body && lastFocus !== host) lastFocus.focus();
    else if (next) next.focus();
  }

  // What pages call -----------------------------------------------------------------------------------------------

  let updates = [];
  const WHO = ["app_id", "user_id", "email", "user_hash", "intercom_user_jwt"];
  const whoIn = (claim) => WHO.reduce((who, name) => (name in claim ? Object.assign(who, { [name]: claim[name] }) : who), {});

  function idOf(claim) {
    if (!claim) return null;
    try {
      if (claim.intercom_user_jwt) return String(JSON.parse(atob(claim.intercom_user_jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).user_id);
    } catch (_) { /* the server says what is wrong with it */ }
    const id = claim.user_id || claim.email;
    return id ? String(id) : null;
  }

  function claimFrom(said) {
    const claim = {};
    for (const key of Object.keys(isObject(said) ? said : {})) {
      let json;
      try { json = JSON.stringify(said[key]); } catch (_) { log("warn", `${key} cannot be sent.`); }
      if (key !== "api_base" && json !== undefined) claim[key] = JSON.parse(json);
    }
    return claim;
  }

  // Whoever was a visitor stays themselves; somebody else is another, with events of their own.
  function become(claim) {
    const was = me && idOf(me.claim), now = idOf(claim);
    if (!me || (was && was !== now)) {
      if (me) leaveBehind();
      senders.push((me = sender(null)));
    }
    me.claim = claim;
    me.asks = true;
    me.isRefused = false;
    // What was tracked before anybody was there is theirs.
    for (const one of senders.filter(({ claim: theirs, token }) => !theirs && !token)) me.events.unshift(...one.events.splice(0));
    flushIn(0);
  }

  // Nothing of one person is shown to the next.
  function leaveBehind() {
    clearTimeout(polling);
    tellReports();
    me = null;
    messages = [];
    reports = [];
    closed = [];
    answered = "";
    isOpen = false;
    shown = undefined;
    if (host) host.remove();
    host = root = launcher = null;
    counted();
  }

  const methods = {
    boot(said) {
      areHidden = Boolean(isObject(said) && said.hide_notifications);
      if (me && me.claim && !isObject(said)) return;
      become(claimFrom(said));
      intercom.booted = true;
      hookLauncher(said);
    },
    update(said) {
      if (!me || !me.claim) return methods.boot(said || window.intercomSettings || {});
      updates = updates.filter((at) => at > Date.now() - UPDATES_IN);
      if (updates.length >= UPDATES) return log("warn", `update was called more than ${UPDATES} times in 30 minutes, and is not heard until some have passed.`);
      updates.push(Date.now());
      become(Object.assign({}, me.claim, claimFrom(said)));
      look([0]);
    },
    shutdown() {
      if (held) save();
      // Those who wait keep the secrets that they had.
      for (const one of senders) one.secrets = one.secrets || ownSecrets();
      leaveBehind();
      forget();
      updates = [];
      intercom.booted = false;
      flushIn(0);
    },
    trackEvent: track,
    getVisitorId() { return me && me.kind && me.kind !== "visitor" ? undefined : store.get(VISITOR) || undefined; },
    show: open,
    hide() { if (isOpen) close(); },
    hideNotifications(hidden = true) {
      areHidden = Boolean(hidden);
      if (me) draw();
    },
    onShow(hook) { if (typeof hook === "function") hooks.show.push(hook); },
    onHide(hook) { if (typeof hook === "function") hooks.hide.push(hook); },
    onUnreadCountChange(hook) {
      if (typeof hook !== "function") return;
      hooks.unread.push(hook);
      call(hook, unread);
    },
    ready(hook) {
      if (typeof hook !== "function") return;
      if (me && me.token) call(hook);
      else hooks.ready.push(hook);
    },
  };
  methods.showMessages = methods.showSpace = methods.show;
  // The rest of what Intercom's does is not ours, and quietly does nothing.

  function intercom(method, ...said) {
    return Object.prototype.hasOwnProperty.call(methods, method) ? methods[method](...said) : undefined;
  }
  intercom.isEventsapp = true;
  intercom.booted = false;
  window.Intercom = intercom;

  function hookLauncher(said) {
    const selector = isObject(said) && said.custom_launcher_selector;
    if (!selector || hookLauncher.selector === selector) return;
    hookLauncher.selector = selector;
    document.addEventListener("click", (event) => {
      let on = null;
      try { on = event.target instanceof Element && event.target.closest(selector); } catch (_) { /* no selector */ }
      if (!on) return;
      event.preventDefault();
      isOpen ? close() : open();
    });
  }

  adopt();
  setInterval(() => { if (held) save(); }, ADOPT_AFTER / 3);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => { if (event.persisted) save(); });
  addEventListener("online", () => { clearTimeout(timer); timer = 0; flushIn(0); });
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : look([0])));
  for (const kind of ["pointermove", "keydown", "scroll"]) addEventListener(kind, () => { lastMove = Date.now(); }, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.activeElement === document.body && shown) close();
  });

  // A page that has settings is booted by them, then comes what it called before we were there, oldest first.
  const early = before && Array.isArray(before.q) ? [...before.q] : [];
  const bootsItself = early.some(([method]) => method === "boot");
  if (!bootsItself && window.intercomSettings && window.intercomSettings.app_id) methods.boot(window.intercomSettings);
  for (const said of early) {
    try { intercom(...said); } catch (error) { log("error", error); }
  }
  if (held) flushIn(0);
})();
