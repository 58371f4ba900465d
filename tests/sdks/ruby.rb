# What intercom-ruby sends with Net::HTTP, header by header, and what it reads of the answers. Fails by an exception.

require "json"
require "net/http"
require "uri"

ASKED = JSON.parse(ENV.fetch("SDK"))
AT, METADATA = ASKED["at"], ASKED["metadata"]

class Refused < StandardError
  attr_reader :status, :code

  def initialize(status, code)
    super("#{status} #{code}")
    @status, @code = status, code
  end
end

# Each of its requests has a connection of its own, to the host of the base URL.
class Intercom
  METHODS = {
    get: Net::HTTP::Get, post: Net::HTTP::Post, put: Net::HTTP::Put, delete: Net::HTTP::Delete
  }.freeze

  attr_reader :rate_limit

  def initialize(token)
    @base, @token = URI.parse(ASKED["url"]), ASKED["tokens"][token]
  end

  def get(path, params = {}) = call(:get, params.empty? ? path : "#{path}?#{URI.encode_www_form(params)}")
  def post(path, body) = call(:post, path, body)
  def put(path, body) = call(:put, path, body)
  def delete(path) = call(:delete, path, {}) # with a body, which is an empty object

  def each(path, params, collection)
    page = get(path, params)
    loop do
      page[collection].each { |one| yield typed(one) }
      following = page.dig("pages", "next")
      break unless following.is_a?(String)
      # The whole URL is the path, so that the target of the request is in absolute form.
      page = get(following)
    end
  end

  private

  def call(method, path, body = nil)
    request = METHODS.fetch(method).new(path, headers)
    if body
      request["Content-Type"] = "application/json"
      request.body = body.to_json
    end
    answer = Net::HTTP.start(@base.host, @base.port, open_timeout: 30, read_timeout: 90) { |http| http.request(request) }
    @rate_limit = answer["X-RateLimit-Limit"].to_i if answer["X-RateLimit-Limit"]
    read(answer)
  end

  def headers
    {
      "Accept-Encoding" => "gzip, deflate",
      "AcceptEncoding" => "gzip, deflate",
      "Accept" => "application/vnd.intercom.3+json",
      "User-Agent" => "Intercom-Ruby/4.2.2",
      "Authorization" => "Bearer #{@token}"
    }
  end

  def read(answer)
    status, text = answer.code.to_i, answer.body.to_s
    said = text.strip.empty? ? {} : JSON.parse(text)
    raise Refused.new(status, said["errors"][0]["code"]) if said["type"] == "error.list"
    raise "#{status} without an error.list" if status >= 300
    said
  end
end

# It makes a class of each object by its type, and raises for one that has none.
def typed(one)
  raise "No type field was found" unless one["type"].is_a?(String)
  one
end

def same(told, expected)
  raise "#{told.inspect} instead of #{expected.inspect}" unless told == expected
end

def refused(status, code)
  yield
rescue Refused => error
  same([error.status, error.code], [status, code])
else
  raise "not refused with #{status}"
end

def event(number = 0, **more)
  { event_name: "placed-order", created_at: AT + number, user_id: "sdk-user" }.merge(more)
end

def people(client)
  made = typed(client.post("/contacts", { external_id: "sdk-user", email: "sdk@example.org", custom_attributes: { plan: "pro" } }))
  found = typed(client.get("/contacts/#{made["id"]}"))
  same([found["external_id"], found["avatar"]], ["sdk-user", nil])
  %w[tags notes companies].each { |name| same(found[name]["url"].is_a?(String), true) }
  changed = client.put("/contacts/#{made["id"]}", { name: "Ada", custom_attributes: { seats: 3 } })
  same([changed["name"], changed["custom_attributes"]], ["Ada", { "plan" => "pro", "seats" => 3 }])
  query = { query: { field: "email", operator: "=", value: "sdk@example.org" } }
  same(client.post("/contacts/search", query)["data"].map { |one| typed(one)["id"] }, [made["id"]])
  # What version 3 did.
  same(client.post("/users", { user_id: "gone", email: "gone@example.org" })["type"], "user")
  gone = client.get("/users", { email: "gone@example.org" })
  same(client.get("/users/#{gone["id"]}")["user_id"], "gone")
  users = []
  client.each("/users", { per_page: 1 }, "users") { |user| users << user["user_id"] }
  same(users.sort, %w[gone sdk-user])
  same(client.delete("/users/#{gone["id"]}")["user_id"], "gone")
  refused(404, "not_found") { client.get("/users", { user_id: "gone" }) }
  lead = client.post("/contacts", { role: "lead", email: "lead@example.org" })
  other = client.post("/contacts", { role: "lead" })
  same(client.delete("/contacts/#{other["id"]}")["deleted"], true)
  [made, lead]
end

def events(client, lead)
  5.times { |number| same(client.post("/events", event(number, metadata: METADATA)), {}) }
  client.post("/events", { event_name: "asked", created_at: AT, id: lead["id"] })
  seen = []
  client.each("/events", { type: "user", user_id: "sdk-user", per_page: 2 }, "events") { |one| seen << one }
  same(seen.map { |one| one["created_at"] }, [4, 3, 2, 1, 0].map { |number| AT + number })
  same(seen.map { |one| one["metadata"] }.uniq, [METADATA])
  summary = client.get("/events", { type: "user", user_id: "sdk-user", summary: true })
  same(summary["events"].map { |one| [one["name"], one["count"]] }, [["placed-order", 5]])
end

def tags_and_segments(client, contact)
  tag = typed(client.post("/tags", { name: "VIP" }))
  same(client.post("/contacts/#{contact["id"]}/tags", { id: tag["id"] })["name"], "VIP")
  same(client.get("/contacts/#{contact["id"]}/tags")["data"].map { |one| typed(one)["id"] }, [tag["id"]])
  same(client.get("/users", { tag_id: tag["id"] })["users"].map { |one| one["user_id"] }, ["sdk-user"])
  same(client.delete("/contacts/#{contact["id"]}/tags/#{tag["id"]}")["id"], tag["id"])
  same(client.get("/tags")["data"].map { |one| typed(one)["name"] }, ["VIP"])
  same(client.delete("/tags/#{tag["id"]}"), {})
  same(client.get("/segments")["segments"], [])
  same(typed(client.get("/me"))["app"]["type"], "app")
  same(client.get("/admins")["admins"], [])
end

def all_errors(client)
  refused(401, "unauthorized") { Intercom.new("wrong").post("/events", event) }
  refused(403, "forbidden") { Intercom.new("read").post("/events", event) }
  refused(400, "parameter_invalid") { client.post("/events", event(created_at: "now")) }
  refused(400, "parameter_not_found") { client.post("/events", { event_name: "x", created_at: AT }) }
  few = Intercom.new("few_names")
  few.post("/events", event(event_name: "one"))
  refused(422, "422") { few.post("/events", event(event_name: "two")) }
  slow = Intercom.new("slow")
  slow.post("/events", event)
  same(slow.rate_limit, 2)
  refused(429, "rate_limit_exceeded") { 4.times { |number| slow.post("/events", event(number)) } }
end

client = Intercom.new("admin")
made, lead = people(client)
events(client, lead)
tags_and_segments(client, made)
all_errors(client)
puts({ id: made["id"], lead: lead["id"] }.to_json)
