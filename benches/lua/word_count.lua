-- Word count: makes a text, splits it, counts words and letters, sorts by frequency.
-- Group: allocation.
-- Argument: number of words in the text.
local words = ...
words = words == "smoke" and 2000 or tonumber(words) or 1300000

local seed = 12345
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n
end

local syllables = { "ka", "lo", "mi", "ne", "pu", "ra", "so", "ti", "ve", "zu", "an", "er" }
local function word()
  -- The product of two draws makes some words much more frequent than others.
  local n = random(30) * random(30)
  local a, b, c = n % 12 + 1, math.floor(n / 12) % 12 + 1, math.floor(n / 144) % 12 + 1
  return syllables[a] .. syllables[b] .. syllables[c]
end

local lines, line = {}, {}
for i = 1, words do
  line[#line + 1] = word()
  if #line == 12 or i == words then
    lines[#lines + 1] = table.concat(line, " ")
    line = {}
  end
end
local text = table.concat(lines, ".\n")

local counts, found, letters = {}, 0, 0
for w in text:gmatch("%a+") do
  counts[w] = (counts[w] or 0) + 1
  found = found + 1
  letters = letters + #w
end
assert(found == words and letters == 6 * words, "words were lost")

-- The same again, line by line and without patterns.
local again = {}
for _, l in ipairs(lines) do
  local start = 1
  while true do
    local stop = l:find(" ", start, true)
    local w = l:sub(start, stop and stop - 1)
    again[w] = (again[w] or 0) + 1
    if not stop then break end
    start = stop + 1
  end
end

local ranking = {}
for w, n in pairs(counts) do
  assert(again[w] == n, "the two counts differ")
  ranking[#ranking + 1] = w
end
table.sort(ranking, function(a, b)
  if counts[a] ~= counts[b] then return counts[a] > counts[b] end
  return a < b
end)
local sum = 0
for _, w in ipairs(ranking) do sum = sum + counts[w] end
assert(sum == words, "the counts do not add up")
print(string.format("word_count %d %s %d", #ranking, ranking[1], counts[ranking[1]]))
