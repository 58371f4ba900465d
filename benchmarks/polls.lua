-- Asks for one mailbox after the other, each with the ETag that it has: a line of the file PAGES is "path ETag".
local pages = {}

function init(arguments)
  for line in io.lines(os.getenv("PAGES")) do
    local path, etag = line:match("^(%S+) (%S+)$")
    pages[#pages + 1] = wrk.format("GET", path, {["If-None-Match"] = etag})
  end
  math.randomseed(os.time())
  place = math.random(#pages)
end

function request()
  place = place % #pages + 1
  return pages[place]
end
