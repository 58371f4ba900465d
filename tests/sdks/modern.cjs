// What intercom-client 6 and 7 do with people and events. Reads where to from the environment; fails by assertion.
"use strict";
const assert = require("node:assert/strict");
const { createRequire } = require("node:module");

const asked = JSON.parse(process.env.SDK);
const { Intercom, IntercomClient, IntercomError } = createRequire(`${asked.environment}/`)("intercom-client");
const { at, metadata } = asked;
const client = (token = "admin") => new IntercomClient({ token: asked.tokens[token], baseUrl: asked.url });
const event = (more = {}) => ({ user_id: "sdk-user", event_name: "placed-order", created_at: at, ...more });

async function refused(call, status, code, kind = IntercomError) {
  const error = await call().then(() => null, (error) => error);
  assert.ok(error, `not refused with ${status}`);
  assert.ok(error instanceof kind, `${error.constructor.name} instead of ${kind.name}: ${error.message}`);
  assert.equal(error.statusCode, status);
  assert.equal(error.body.errors[0].code, code);
  return error;
}

async function people(sdk) {
  const made = await sdk.contacts.create({
    external_id: "sdk-user", email: "sdk@example.org", custom_attributes: { plan: "pro" },
  });
  assert.equal(made.external_id, "sdk-user");
  const changed = await sdk.contacts.update({ contact_id: made.id, name: "Ada", custom_attributes: { seats: 3 } });
  assert.deepEqual([changed.name, changed.custom_attributes], ["Ada", { plan: "pro", seats: 3 }]);
  assert.equal((await sdk.contacts.find({ contact_id: made.id })).email, "sdk@example.org");
  if (sdk.contacts.showContactByExternalId) {
    assert.equal((await sdk.contacts.showContactByExternalId({ external_id: "sdk-user" })).id, made.id);
  }
  for (let number = 0; number < 5; number++) await sdk.contacts.create({ external_id: `other-${number}` });
  const listed = [];
  for await (const contact of await sdk.contacts.list({ per_page: 2 })) listed.push(contact.external_id);
  assert.deepEqual(listed.sort(), ["other-0", "other-1", "other-2", "other-3", "other-4", "sdk-user"]);
  const searched = [];
  const query = { field: "external_id", operator: "^", value: "other-" };
  for await (const contact of await sdk.contacts.search({ query, pagination: { per_page: 2 } })) {
    searched.push(contact.external_id);
  }
  assert.equal(new Set(searched).size, 5);
  const lead = await sdk.contacts.create({ role: "lead", email: "lead@example.org" });
  return [made, lead];
}

async function events(sdk, made, lead) {
  for (let number = 0; number < 5; number++) {
    await sdk.events.create(event({ created_at: at + number, metadata }));
  }
  await sdk.events.create({ event_name: "asked", created_at: at, id: lead.id });
  await sdk.events.create({ event_name: "signed-in", created_at: at, email: "sdk@example.org" });
  const seen = [];
  let queryParams = {};
  for (;;) {
    const page = await sdk.events.list({ type: "user", user_id: "sdk-user", per_page: 2 }, { queryParams });
    for (const one of page.events) if (one.event_name === "placed-order") seen.push(one.created_at);
    if (!page.pages.next) break;
    queryParams = { before: new URL(page.pages.next).searchParams.get("before") };
    if (asked.follow_urls) break;
  }
  if (asked.follow_urls) {
    // Version 6 has no way to add a parameter: the URL is followed as it is.
    for (let next = `${asked.url}/events?type=user&user_id=sdk-user&per_page=2`, first = true; next; first = false) {
      const page = await (await fetch(next, { headers: { Authorization: `Bearer ${asked.tokens.admin}` } })).json();
      if (!first) for (const one of page.events) if (one.event_name === "placed-order") seen.push(one.created_at);
      next = page.pages.next;
    }
  }
  assert.deepEqual(seen, [4, 3, 2, 1, 0].map((number) => at + number));
  await sdk.events.summaries({
    user_id: "sdk-user",
    event_summaries: { event_name: "placed-order", count: 7, first: at - 500, last: at - 400 },
  });
  const summary = await sdk.events.list({ type: "user", user_id: "sdk-user", summary: true });
  assert.equal(summary.events.find((one) => one.name === "placed-order").count, 12);
}

// Who turns out to be somebody, who is deleted, and who asks.
async function moving(sdk) {
  const lead = await sdk.contacts.create({ role: "lead", email: "moving@example.org" });
  const user = await sdk.contacts.create({ external_id: "moving" });
  await sdk.events.create({ event_name: "asked", created_at: at, id: lead.id });
  const merged = await sdk.contacts.mergeLeadInUser({ from: lead.id, into: user.id });
  assert.deepEqual([merged.id, merged.email], [user.id, "moving@example.org"]);
  await refused(() => sdk.contacts.find({ contact_id: lead.id }), 410, "contact_merged");
  assert.deepEqual((await sdk.contacts.listAttachedSegments({ contact_id: user.id })).data, []);
  assert.equal((await sdk.contacts.archive({ contact_id: user.id })).archived, true);
  assert.equal((await sdk.contacts.unarchive({ contact_id: user.id })).archived, false);
  if (sdk.contacts.blockContact) assert.equal((await sdk.contacts.blockContact({ contact_id: user.id })).blocked, true);
  assert.equal((await sdk.contacts.delete({ contact_id: user.id })).deleted, true);
  await refused(() => sdk.contacts.find({ contact_id: user.id }), 404, "not_found");
  assert.equal((await sdk.admins.identify()).app.name, "SDK");
  assert.deepEqual((await sdk.admins.list()).admins, []);
}

// Who was in a page without a name, and what they did there.
async function visitors(sdk) {
  const found = await sdk.visitors.find({ user_id: asked.visitor });
  assert.deepEqual([found.type, found.user_id], ["visitor", asked.visitor]);
  assert.equal((await sdk.visitors.update({ id: found.id, name: "Vera" })).name, "Vera");
  const user = await sdk.visitors.mergeToContact({
    type: "user", user: { user_id: "was-a-visitor" }, visitor: { user_id: asked.visitor },
  });
  assert.deepEqual([user.external_id, user.name], ["was-a-visitor", "Vera"]);
  const seen = (await sdk.events.list({ type: "user", user_id: "was-a-visitor" })).events;
  assert.deepEqual(seen.map((one) => one.event_name), ["viewed"]);
}

async function attributesTagsAndMessages(sdk, made) {
  const one = await sdk.dataAttributes.create({ name: "plan_level", model: "contact", data_type: "string" });
  assert.equal(one.full_name, "custom_attributes.plan_level");
  // Version 6 takes the changes themselves.
  const changed = await sdk.dataAttributes.update({
    data_attribute_id: one.id, archived: true, body: { archived: true },
  });
  assert.equal(changed.archived, true);
  const names = async (query) => (await sdk.dataAttributes.list(query)).data.map((found) => found.name);
  assert.ok((await names({ model: "contact", include_archived: true })).includes("plan_level"));
  assert.ok(!(await names({ model: "contact" })).includes("plan_level"));

  const vip = await sdk.tags.create({ name: "VIP" });
  const many = await sdk.tags.create({ name: "VIP", users: [{ id: made.id }] });
  assert.equal(many.id, vip.id);
  assert.deepEqual((await sdk.contacts.listAttachedTags({ contact_id: made.id })).data.map((tag) => tag.id), [vip.id]);
  assert.equal((await sdk.tags.untagContact({ contact_id: made.id, id: vip.id, tag_id: vip.id })).id, vip.id);
  assert.equal((await sdk.tags.tagContact({ contact_id: made.id, id: vip.id, tag_id: vip.id })).id, vip.id);
  assert.deepEqual((await sdk.tags.list()).data.map((tag) => tag.name), ["VIP"]);

  const message = { message_type: "inapp", body: "Hello {{ contact.name }}", to: { type: "user", id: made.id } };
  const sent = await sdk.messages.create(message);
  assert.deepEqual([sent.type, sent.message_type], ["admin_message", "inapp"]);
  await refused(() => sdk.messages.create({ ...message, message_type: "email" }), 422, "parameter_not_found");
}

async function errors(sdk) {
  await refused(() => client("wrong").events.create(event()), 401, "unauthorized", Intercom.UnauthorizedError);
  await refused(() => client("read").events.create(event()), 403, "forbidden");
  await refused(() => sdk.events.create(event({ created_at: "now" })), 400, "parameter_invalid");
  await refused(() => sdk.events.create({ event_name: "x", created_at: at, id: "f".repeat(24) }), 404, "not_found");
  await refused(() => sdk.contacts.find({ contact_id: "f".repeat(24) }), 404, "not_found");
  await refused(() => sdk.contacts.create({ external_id: "sdk-user" }), 409, "conflict");
  for (const number of [0, 1]) {
    await sdk.contacts.create({ external_id: `twin-${number}`, email: "twins@example.org" });
  }
  const twins = { event_name: "x", created_at: at, email: "twins@example.org" };
  await refused(() => sdk.events.create(twins), 409, "conflict");
  await client("few_names").events.create(event({ event_name: "one" }));
  await refused(() => client("few_names").events.create(event({ event_name: "two" })), 422, "422");
  const slow = client("slow");
  const error = await refused(async () => {
    for (let number = 0; number < 4; number++) {
      await slow.events.create(event({ created_at: at + number }), { maxRetries: 0 });
    }
  }, 429, "rate_limit_exceeded");
  assert.ok(error.rawResponse.headers.get("x-ratelimit-reset"));
}

(async () => {
  const sdk = client();
  const [made, lead] = await people(sdk);
  await events(sdk, made, lead);
  await moving(sdk);
  await visitors(sdk);
  await attributesTagsAndMessages(sdk, made);
  await errors(sdk);
  process.stdout.write(JSON.stringify({ id: made.id, lead: lead.id }));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
