-- Classes and operators: vectors with arithmetic metamethods, inheritance three levels deep,
-- properties by __index functions.
-- Group: allocation.
-- Argument: rounds.
local rounds = ...
rounds = rounds == "smoke" and 1500 or tonumber(rounds) or 190000

local Vector = {}
Vector.__index = Vector
local function vector(x, y, z) return setmetatable({ x = x, y = y, z = z }, Vector) end
Vector.__add = function(a, b) return vector(a.x + b.x, a.y + b.y, a.z + b.z) end
Vector.__sub = function(a, b) return vector(a.x - b.x, a.y - b.y, a.z - b.z) end
Vector.__mul = function(a, k) return vector(a.x * k, a.y * k, a.z * k) end
Vector.__unm = function(a) return vector(-a.x, -a.y, -a.z) end
Vector.__eq = function(a, b) return a.x == b.x and a.y == b.y and a.z == b.z end
Vector.__lt = function(a, b) return a:dot(a) < b:dot(b) end
Vector.__le = function(a, b) return a:dot(a) <= b:dot(b) end
Vector.__call = function(a, axis) return a[axis] end
Vector.__concat = function(a, b) return tostring(a) .. tostring(b) end
Vector.__tostring = function(a) return string.format("<%d,%d,%d>", a.x, a.y, a.z) end
function Vector:dot(b) return self.x * b.x + self.y * b.y + self.z * b.z end
function Vector:cross(b)
  return vector(self.y * b.z - self.z * b.y, self.z * b.x - self.x * b.z, self.x * b.y - self.y * b.x)
end

local function class(parent)
  local c = {}
  c.__index = c
  c.new = function(...)
    local object = setmetatable({}, c)
    object:init(...)
    return object
  end
  return setmetatable(c, { __index = parent })
end

local Account = class()
function Account:init(owner, balance) self.owner, self.balance = owner, balance end
function Account:deposit(n) self.balance = self.balance + n end
function Account:withdraw(n) self.balance = self.balance - n - self:fee(n) end
function Account:fee() return 0 end
local Savings = class(Account)
function Savings:fee() return 1 end
local Premium = class(Savings)
function Premium:init(owner, balance, bonus)
  Savings.init(self, owner, balance)
  self.bonus = bonus
end
function Premium:fee(n) return Savings.fee(self, n) - self.bonus end

-- A proxy computes its fields.
local function proxy(target)
  return setmetatable({}, {
    __index = function(_, key) return key == "twice" and target.balance * 2 or target[key] end,
    __newindex = function(_, key, value) target[key] = value end,
  })
end

local total = 0
for i = 1, rounds do
  local a, b = vector(i % 7, i % 5, i % 3), vector(1, 2, 3)
  local c = (a + b) * 2 - b
  assert(c - a - a == b and -(-c) == c, "wrong arithmetic")
  local n = a:cross(b)
  assert(n:dot(a) == 0 and n:dot(b) == 0, "the cross product is not perpendicular")
  assert((a < c) == (a:dot(a) < c:dot(c)) and a <= a, "wrong order")
  total = total + c("x")
  if i % 16 == 0 then assert(#(a .. b) == 14, "wrong text") end

  local account = Premium.new("ann", 100, 1)
  account:deposit(50)
  account:withdraw(20)
  local plain = Savings.new("bob", 10)
  plain:withdraw(4)
  assert(account.balance == 130 and plain.balance == 5, "wrong balance")
  if i % 8 == 0 then
    local p = proxy(account)
    p.balance = p.balance + 1
    assert(p.twice == 262 and p.owner == "ann", "wrong property")
  end
end
print(string.format("classes %d", total))
