-- Churn over a large live cyclic graph: sessions of five tables that point at each other and at their
-- neighbours are replaced at random. Reports the longest step that the program itself saw.
-- Argument: scale, 1 is the full size.
local scale = tonumber((...)) or 1
local count = math.max(100, math.floor(300000 * scale))
local requests = count * 4

local seed = 1
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local function open(id)
  local session = { id = id }
  session.user = { name = "user", session = session }
  session.cart = { owner = session.user, items = {} }
  session.cart.items[1] = { cart = session.cart, price = id % 100 }
  return session
end

local sessions = {}
for i = 1, count do
  local session = open(i)
  local friend = sessions[i - 1]
  if friend then session.friend, friend.follower = friend, session end
  sessions[i] = session
end

local clock = os.clock
local longest, batch = 0, 20
local start = clock()
for i = 1, requests do
  local slot = random(count)
  local old, new = sessions[slot], open(count + i)
  new.friend, new.follower = old.friend, old.follower
  if new.friend then new.friend.follower = new end
  if new.follower then new.follower.friend = new end
  sessions[slot] = new
  if i % batch == 0 then
    local now = clock()
    if now - start > longest then longest = now - start end
    start = clock()
  end
end

for i = 1, count do
  local s = sessions[i]
  assert(s.user.session == s and s.cart.items[1].cart.owner.session == s, "a session is torn")
  assert(i == 1 or s.friend == sessions[i - 1] and s.friend.follower == s, "a session lost its neighbour")
end
print(string.format("sessions %d: longest step of %d requests %.3f ms", count, batch, longest * 1e3))
-- What a peak is to be compared with.
collectgarbage()
print(string.format("live after a full collection: %.1f MiB", collectgarbage("count") / 1024))
