-- A server: a large graph of live sessions, users and rooms with cycles through all of them, where
-- each request replaces a session, posts a message and forgets the oldest one.
-- Group: allocation.
-- Argument: number of requests (sessions are a tenth of it).
local requests = ...
requests = requests == "smoke" and 3000 or tonumber(requests) or 400000
local capacity = math.floor(requests / 10)
local room_count = math.floor(capacity / 50) + 1

local seed = 42
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local rooms = {}
for i = 1, room_count do
  rooms[i] = { id = i, members = {}, size = 0, log = {}, posted = 0 }
end

local function join(session, room)
  room.members[session] = true
  room.size = room.size + 1
  session.room = room
end

local function leave(session)
  local room = session.room
  assert(room.members[session], "a session is not in its room")
  room.members[session] = nil
  room.size = room.size - 1
end

local function open(id)
  local session = { id = id, inbox = {} }
  local user = { name = "user" .. id % 1000, session = session }
  session.user = user
  session.cookie = { owner = user, path = "/" }
  join(session, rooms[random(room_count)])
  return session
end

local sessions = {}
for i = 1, capacity do sessions[i] = open(i) end

local posted = 0
for i = 1, requests do
  local slot = random(capacity)
  local old = sessions[slot]
  if i % 3 == 0 then
    leave(old)
    sessions[slot] = open(capacity + i)
  else
    local room = old.room
    room.posted = room.posted + 1
    room.log[room.posted % 16 + 1] = { from = old, text = "hello", at = i }
    posted = posted + 1
  end
end

local members, logged = 0, 0
for _, room in ipairs(rooms) do
  local size = 0
  for session in pairs(room.members) do
    assert(session.room == room and session.user.session == session and session.cookie.owner == session.user)
    size = size + 1
  end
  assert(size == room.size, "a room miscounts its members")
  members = members + size
  logged = logged + room.posted
end
assert(members == capacity, "sessions were lost")
assert(logged == posted, "messages were lost")
print(string.format("server %d %d", members, posted))
