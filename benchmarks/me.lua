-- Shows one of the tokens with each request, in turn; each thread begins elsewhere in the list.
-- Arguments: the file with the tokens; "bearer" to show them in Authorization, or "cookie"; further
-- headers.
local tokens = {}
local threads = 0
local at = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  local field, before = "Cookie", "auth_session="
  if args[2] == "bearer" then
    field, before = "Authorization", "Bearer "
  end
  for line in io.lines(args[1]) do
    local headers = { [field] = before .. line }
    for number = 3, #args do
      local name, value = args[number]:match("^([^:]+): (.*)$")
      headers[name] = value
    end
    tokens[#tokens + 1] = headers
  end
  at = number * math.floor(#tokens / 4)
end

function request()
  at = at % #tokens + 1
  return wrk.format("GET", nil, tokens[at])
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
