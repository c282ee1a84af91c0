-- Patterns: find, match, gmatch, gsub with classes, anchors, captures, balances and frontiers.
-- Group: computation.
-- Argument: rounds.
local rounds = ...
rounds = rounds == "smoke" and 5 or tonumber(rounds) or 800

local lines = {}
for i = 1, 100 do
  lines[i] = string.format(
    "2024-%02d-%02d %02d:%02d:%02d host%d app[%d]: GET /items/%d?q=(a(b)c) status=%d took %d.%03ds",
    i % 12 + 1, i % 28 + 1, i % 24, i % 60, (i * 7) % 60, i % 5, i * 31, i, 200 + i % 3, i % 4, i * 9 % 1000)
end
local text = table.concat(lines, "\n") .. "\n"

local hits = 0
for _ = 1, rounds do
  for i, line in ipairs(lines) do
    local year, month, day = line:match("^(%d+)%-(%d+)%-(%d+)")
    assert(year == "2024" and tonumber(month) == i % 12 + 1 and tonumber(day) == i % 28 + 1, "wrong date")
    local first, last, pid = line:find("%[(%d+)%]")
    assert(tonumber(pid) == i * 31 and last - first == #pid + 1, "wrong process id")
    assert(line:match("%b()") == "(a(b)c)", "wrong balance")
    assert(line:match("status=(%d%d%d)%f[%s]") == tostring(200 + i % 3), "wrong status")
    if line:find("took 0%.%d-s$") then hits = hits + 1 end
    assert(not line:find("status=[^2]"), "unexpected status")
  end
  local n = 0
  for path, query in text:gmatch("GET (/[%w/]*)%?(%S*)") do
    n = n + 1
    assert(path == "/items/" .. n and query == "q=(a(b)c)", "wrong request")
  end
  assert(n == 100, "requests are missing")
  local masked, digits = text:gsub("%d", "#")
  assert(#masked == #text and not masked:find("%d"), "digits are left")
  local _, words = text:gsub("%f[%a]%a+", string.upper)
  hits = hits + digits + words
end
print(string.format("patterns %d", hits))
