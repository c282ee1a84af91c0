-- Building strings: concatenation, format, gsub, sub, rep, reverse, bytes, table.concat.
-- Group: allocation.
-- Argument: rounds.
local rounds = ...
rounds = rounds == "smoke" and 40 or tonumber(rounds) or 9000

local total = 0
for round = 1, rounds do
  -- A string that grows by concatenation.
  local s = ""
  for i = 1, 60 do s = s .. i .. "," end
  assert(#s == 9 * 2 + 51 * 3, "wrong length")

  -- Records by format, joined.
  local rows = {}
  for i = 1, 40 do
    rows[i] = string.format("%05d|%-8s|%x|%5.2f", i, "row" .. i, i * round, i / 4)
  end
  local text = table.concat(rows, "\n")
  total = total + #text

  -- Each row comes apart again.
  local sum = 0
  for i = 1, 40 do
    local row = rows[i]
    assert(row:sub(1, 5) + 0 == i and row:sub(7, 7 + 7):upper() == string.format("%-8s", "ROW" .. i), "wrong row")
    sum = sum + tonumber(row:sub(1, 5))
  end
  assert(sum == 820, "wrong sum")

  -- Substitution.
  local swapped, n = ("key=value; "):rep(10):gsub("(%w+)=(%w+)", "%2=%1")
  assert(n == 10 and swapped == ("value=key; "):rep(10), "wrong substitution")
  local expanded = ("$a-$b-$c"):gsub("%$(%w)", { a = "alpha", b = round, c = "gamma" })
  assert(expanded == "alpha-" .. round .. "-gamma", "wrong expansion")

  -- Single characters.
  local out = {}
  for i = 1, 60 do out[i] = string.char((round + i * 7) % 26 + 97) end
  local word = table.concat(out)
  assert(word:reverse():reverse() == word and word:byte(60) == (round + 420) % 26 + 97, "wrong bytes")
  total = total + #word:rep(3, "-")
end
print(string.format("strings %d", total))
