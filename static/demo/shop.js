// The demo shop: what any customer's page would do. The library is loaded beside this, and either may be first.
window.intercomSettings = JSON.parse(document.getElementById("settings").textContent);

if (!window.Intercom) {
  const queue = (...said) => queue.q.push(said);
  queue.q = [];
  window.Intercom = queue;
} else {
  window.Intercom("boot", window.intercomSettings);
}

const sent = document.getElementById("sent");
let count = 0;

document.addEventListener("click", ({ target }) => {
  const { event, item, cents } = target.dataset;
  if (!event) return;
  window.Intercom("trackEvent", event, item ? { item, total: { amount: Number(cents), currency: "usd" } } : {});
  count += 1;
  sent.textContent = `${event} (${count} so far)`;
});
