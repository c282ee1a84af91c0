-- A JSON writer and reader: trees of mixed tables to text and back.
-- Group: allocation.
-- Argument: rounds.
local rounds = ...
rounds = rounds == "smoke" and 2 or tonumber(rounds) or 500

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n" }
local plain = { n = "\n", ['"'] = '"', ["\\"] = "\\" }

local function write(value, out)
  local kind = type(value)
  if kind == "table" then
    if value[1] ~= nil then
      for i, v in ipairs(value) do
        out[#out + 1] = i == 1 and "[" or ","
        write(v, out)
      end
      out[#out + 1] = "]"
    else
      local keys = {}
      for k in pairs(value) do keys[#keys + 1] = k end
      table.sort(keys)
      out[#out + 1] = "{"
      for i, k in ipairs(keys) do
        if i > 1 then out[#out + 1] = "," end
        out[#out + 1] = '"' .. k .. '":'
        write(value[k], out)
      end
      out[#out + 1] = "}"
    end
  elseif kind == "string" then
    out[#out + 1] = '"' .. value:gsub('["\\\n]', escapes) .. '"'
  elseif kind == "number" then
    out[#out + 1] = string.format("%.10g", value)
  else
    out[#out + 1] = tostring(value)
  end
end

local read

local function read_string(s, i)
  local parts = {}
  while true do
    local stop = s:find('["\\]', i)
    parts[#parts + 1] = s:sub(i, stop - 1)
    if s:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
    parts[#parts + 1] = plain[s:sub(stop + 1, stop + 1)]
    i = stop + 2
  end
end

function read(s, i)
  local c = s:sub(i, i)
  if c == "{" then
    local object = {}
    i = i + 1
    if s:sub(i, i) == "}" then return object, i + 1 end
    while true do
      local key
      key, i = read_string(s, i + 1)
      object[key], i = read(s, i + 1)
      c, i = s:sub(i, i), i + 1
      if c == "}" then return object, i end
    end
  elseif c == "[" then
    local array = {}
    repeat
      array[#array + 1], i = read(s, i + 1)
    until s:sub(i, i) == "]"
    return array, i + 1
  elseif c == '"' then
    return read_string(s, i + 1)
  elseif c == "t" then
    return true, i + 4
  elseif c == "f" then
    return false, i + 5
  end
  local number = s:match("^%-?[%d.e+-]+", i)
  return tonumber(number), i + #number
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

local function document(n)
  local people = {}
  for i = 1, 60 do
    people[i] = {
      name = "Person " .. i + n, quote = 'says "hi"\\\nand leaves',
      age = i, height = i / 8, active = i % 2 == 0,
      tags = { "a" .. i, "b" .. n, "c" },
      home = { street = "Road " .. i, number = i * 3, nowhere = {} },
    }
  end
  return { version = n, people = people }
end

local bytes = 0
for n = 1, rounds do
  local original = document(n)
  local out = {}
  write(original, out)
  local text = table.concat(out)
  local copy, stop = read(text, 1)
  assert(stop == #text + 1 and same(original, copy), "the copy differs")
  bytes = bytes + #text
end
print(string.format("json %d", bytes))
