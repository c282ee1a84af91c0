-- Three ways to manage memory explicitly, with one face: `new(size)` gives a pointer to that many bytes, `free(pointer, size)` ends them, `within(f)` calls a function and frees,
-- if the way can do it, all that was allocated in it. Where `frees` is false nothing is freed one by one.
--
-- (The fourth way, the collector, has no face: one makes a table, and that is all.)

local ways = {}

local function call(f) return f() end

-- By hand: a block for each thing, each freed once.
ways.hand = {
  frees = true,
  new = function(size) return mem.address(mem.malloc(size)) end,
  free = function(p) mem.free(p) end,
  within = call,
}

-- A region: what is allocated in a scope is freed with it, all at once.
local scope
ways.region = {
  frees = false,
  new = function(size) return mem.address(scope:malloc(size)) end,
  within = function(f)
    return mem.scope(function(inner)
      local outer <close> = setmetatable({ scope = scope }, { __close = function(o) scope = o.scope end })
      scope = inner
      return f()
    end)
  end,
}

-- A pool over the break region: cells of a few sizes, powers of two. A free cell holds the pointer to the next one, so that the list needs no memory of its own.
local CELLS = 64
local head = {}
local pool = { frees = true, within = call, cells = 0, taken = 0 }
ways.pool = pool

local function class(size)
  local cell = 16
  while cell < size do cell = cell * 2 end
  return cell
end

function pool.new(size)
  local cell = class(size)
  local p = head[cell]
  if not p or p:isnull() then
    local base = assert(mem.sbrk(CELLS * cell))
    p = mem.null
    for i = CELLS - 1, 0, -1 do
      local free = base + i * cell
      free:write(0, "p", p)
      p = free
    end
    pool.cells = pool.cells + CELLS * cell
  end
  head[cell] = p:read(0, "p")
  pool.taken = pool.taken + cell
  return p
end

-- Nothing is checked here: that is what a pool of one's own is like.
function pool.free(p, size)
  local cell = class(size)
  p:write(0, "p", head[cell])
  head[cell] = p
  pool.taken = pool.taken - cell
end

return ways
