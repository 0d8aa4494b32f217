-- Logs users in from one address, as a trusted proxy would forward it, in turn. The arguments are the
-- password and the number of names. It counts the answers by status.
local threads = {}
local at = 0
local password, names
counts = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  password, names = args[1], tonumber(args[2])
end

function request()
  at = at % names + 1
  local body = '{"username": "flood' .. at .. '", "password": "' .. password .. '", '
    .. '"transport": "bearer"}'
  local headers = { ["Content-Type"] = "application/json", ["X-Forwarded-For"] = "198.51.100.7" }
  return wrk.format("POST", "/login", headers, body)
end

function response(status)
  counts[status] = (counts[status] or 0) + 1
end

function done(summary, latency)
  local totals = { 0, 0, 0, 0 }
  for _, thread in ipairs(threads) do
    local found = thread:get("counts")
    for number, status in ipairs({ 200, 401, 429, 503 }) do
      totals[number] = totals[number] + (found[status] or 0)
    end
  end
  io.write(string.format("RESULT %d %d %d %d\n", totals[1], totals[2], totals[3], totals[4]))
end
