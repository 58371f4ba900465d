-- Posts events of random people and types, each with an order number of its own, so that none is a duplicate.
local token = os.getenv("TOKEN")
local headers = {["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json"}
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("place", threads)
end

function init(arguments)
  math.randomseed(os.time() * 100 + place)
  sent, run = 0, string.format("%d-%d", os.time(), place)
end

function request()
  sent = sent + 1
  local body = string.format(
    '{"event_name":"type-%d","created_at":%d,"user_id":"person-%d","metadata":{"order":"%s-%d","price":%d,"plan":"%s"}}',
    math.random(0, 19), os.time() - math.random(0, 86400), math.random(0, 9999), run, sent,
    math.random(1, 500), (math.random() < 0.5) and "pro" or "free")
  return wrk.format("POST", "/events", headers, body)
end

function done(summary, latency, requests)
  io.write(string.format(
    'RESULT {"requests": %d, "refused": %d, "broken": %d, "seconds": %f, "p50": %f, "p99": %f}\n',
    summary.requests, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
