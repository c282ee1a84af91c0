-- Four structures, each written twice: with tables for the collector, and in raw memory for any of the three explicit ways. Both do the same work and return the same sum.
--
-- `sample` is called when the structure is there in full, before it is given up.

local structures = {}

local seed
local function random(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed // 65536 % n + 1
end

local function many(n, scale) return math.max(2, math.floor(n * scale)) end

-- Trees: one after the other is made, counted and given up.

structures.trees = {}

function structures.trees.collector(scale, sample)
  local function make(depth)
    if depth == 0 then return {} end
    return { make(depth - 1), make(depth - 1) }
  end
  local function count(node) return node[1] and 1 + count(node[1]) + count(node[2]) or 1 end
  local sum = 0
  for _ = 1, many(40, scale) do
    local tree = make(9)
    sum = sum + count(tree)
    sample()
  end
  return sum
end

function structures.trees.explicit(scale, sample, way)
  local function make(depth)
    local node = way.new(32)
    if depth == 0 then node:write(0, "p p", mem.null, mem.null)
    else node:write(0, "p p", make(depth - 1), make(depth - 1)) end
    return node
  end
  local function count(node)
    local left, right = node:read(0, "p p")
    return left:isnull() and 1 or 1 + count(left) + count(right)
  end
  local function free(node)
    local left, right = node:read(0, "p p")
    if not left:isnull() then free(left) free(right) end
    way.free(node, 32)
  end
  local sum = 0
  for _ = 1, many(40, scale) do
    way.within(function()
      local tree = make(9)
      sum = sum + count(tree)
      sample()
      if way.frees then free(tree) end
    end)
  end
  return sum
end

-- A graph: a ring, and from each node an edge to anywhere. Who frees it can't go by its edges, for they come back: a list of all nodes is the owner.

structures.graph = {}

function structures.graph.collector(scale, sample)
  local sum, count = 0, many(2000, scale)
  seed = 1
  for _ = 1, 10 do
    local nodes = {}
    for i = 1, count do nodes[i] = { value = i } end
    for i = 1, count do nodes[i].next, nodes[i].other = nodes[i % count + 1], nodes[random(count)] end
    local node = nodes[1]
    nodes = nil
    for _ = 1, count do
      sum = sum + node.other.value
      node = node.next
    end
    sample()
  end
  return sum
end

function structures.graph.explicit(scale, sample, way)
  local sum, count = 0, many(2000, scale)
  seed = 1
  for _ = 1, 10 do
    way.within(function()
      local nodes = {}
      for i = 1, count do
        nodes[i] = way.new(40)
        nodes[i]:write(0, "i8", i)
      end
      for i = 1, count do nodes[i]:write(8, "p p", nodes[i % count + 1], nodes[random(count)]) end
      local node = nodes[1]
      for _ = 1, count do
        local next, other = node:read(8, "p p")
        sum = sum + other:read(0, "i8")
        node = next
      end
      sample()
      if way.frees then
        for _, dead in ipairs(nodes) do way.free(dead, 40) end
      end
    end)
  end
  return sum
end

-- A cache: each request finds its entry, or replaces the one in its place.

structures.cache = {}

function structures.cache.collector(scale, sample)
  local places, slots, sum = many(1000, scale), {}, 0
  seed = 1
  for _ = 1, many(40000, scale) do
    local key = random(places * 2)
    local entry = slots[key % places]
    if not entry or entry.key ~= key then
      entry = { key = key, hits = 0, body = ("x"):rep(48) .. key }
      slots[key % places] = entry
    end
    entry.hits = entry.hits + 1
    sum = sum + entry.hits
  end
  sample()
  return sum
end

function structures.cache.explicit(scale, sample, way)
  return way.within(function()
    local places, slots, sum = many(1000, scale), {}, 0
    seed = 1
    for _ = 1, many(40000, scale) do
      local key = random(places * 2)
      local entry = slots[key % places]
      if not entry or entry:read(0, "i8") ~= key then
        if entry and way.frees then way.free(entry, 80) end
        entry = way.new(80)
        entry:write(0, "i8 i8 z", key, 0, ("x"):rep(48) .. key)
        slots[key % places] = entry
      end
      local hits = entry:read(8, "i8") + 1
      entry:write(8, "i8", hits)
      sum = sum + hits
    end
    sample()
    if way.frees then
      for _, entry in pairs(slots) do way.free(entry, 80) end
    end
    return sum
  end)
end

-- A string table: a word is looked up by its hash in chains of entries, and entered if it is new; now and then the oldest in a chain is deleted.

structures.strings = {}

local CHAINS = 256

local function word(n) return ("word"):rep(n % 7 + 1) .. n end

local function hash(text)
  local h = 0
  for i = 1, #text do h = (h * 31 + text:byte(i)) % CHAINS end
  return h
end

function structures.strings.collector(scale, sample)
  local chains, sum = {}, 0
  seed = 1
  for _ = 1, many(20000, scale) do
    local text = word(random(2000))
    local place = hash(text)
    local entry = chains[place]
    while entry and entry.text ~= text do entry = entry.next end
    if not entry then
      entry = { text = text, uses = 0, next = chains[place] }
      chains[place] = entry
    end
    entry.uses = entry.uses + 1
    sum = sum + entry.uses
    if random(4) == 1 then
      place = random(CHAINS) - 1
      if chains[place] then chains[place] = chains[place].next end
    end
  end
  sample()
  return sum
end

function structures.strings.explicit(scale, sample, way)
  return way.within(function()
    local chains, sum = {}, 0
    for place = 0, CHAINS - 1 do chains[place] = mem.null end
    -- An entry: the next one, how often it was used, the text.
    local function drop(entry)
      local next, _, text = entry:read(0, "p i8 s2")
      if way.frees then way.free(entry, 26 + #text) end
      return next
    end
    seed = 1
    for _ = 1, many(20000, scale) do
      local text = word(random(2000))
      local place = hash(text)
      local entry, uses = chains[place], 0
      while not entry:isnull() do
        local next, count, name = entry:read(0, "p i8 s2")
        if name == text then
          uses = count
          break
        end
        entry = next
      end
      if entry:isnull() then
        entry = way.new(26 + #text)
        entry:write(0, "p i8 s2", chains[place], 0, text)
        chains[place] = entry
      end
      entry:write(16, "i8", uses + 1)
      sum = sum + uses + 1
      if random(4) == 1 then
        place = random(CHAINS) - 1
        if not chains[place]:isnull() then chains[place] = drop(chains[place]) end
      end
    end
    sample()
    if way.frees then
      for place = 0, CHAINS - 1 do
        while not chains[place]:isnull() do chains[place] = drop(chains[place]) end
      end
    end
    return sum
  end)
end

return structures
