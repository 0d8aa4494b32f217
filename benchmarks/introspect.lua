-- Introspects one of the tokens with each request, in turn; each thread begins elsewhere in the list.
-- Arguments: the file with the tokens; "form" or "json"; the service token.
local requests = {}
local threads = 0
local at = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  local media_type, body = "application/x-www-form-urlencoded", "token=%s"
  if args[2] == "json" then
    media_type, body = "application/json", '{"token": "%s"}'
  end
  local headers = { ["Content-Type"] = media_type, ["Authorization"] = "Bearer " .. args[3] }
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, headers, string.format(body, line))
  end
  at = number * math.floor(#requests / 4)
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  io.write(string.format(
    "RESULT %d %d %d %d %d %d\n",
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  ))
end
