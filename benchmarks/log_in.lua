-- Logs users in, in turn, all with the same password, and counts the answers by status.
local threads = {}
local at = 0
ok, overloaded, other = 0, 0, 0

function setup(thread)
  threads[#threads + 1] = thread
end

function request()
  at = at % 200 + 1
  local body = '{"username": "bench' .. at .. '", "password": "correct horse battery staple", '
    .. '"transport": "bearer"}'
  return wrk.format("POST", "/login", { ["Content-Type"] = "application/json" }, body)
end

function response(status)
  if status == 200 then
    ok = ok + 1
  elseif status == 503 then
    overloaded = overloaded + 1
  else
    other = other + 1
  end
end

function done(summary, latency)
  local totals = { 0, 0, 0 }
  for _, thread in ipairs(threads) do
    for number, name in ipairs({ "ok", "overloaded", "other" }) do
      totals[number] = totals[number] + thread:get(name)
    end
  end
  io.write(string.format(
    "RESULT %d %d %d %d %d\n", summary.duration, totals[1], totals[2], totals[3], latency.max
  ))
end
