-- What lives at most while a program runs, in bytes: `neap benches/live.lua PROGRAM [ARGUMENT]...`. Whenever the heap has grown by a
-- twentieth beyond the most that has been found so far, a whole collection tells what of it lives. (The peak is another matter:
-- `neap --gc-stats PROGRAM` shows it.)
local program = table.remove(arg, 1)
local collect, live, looked = collectgarbage, 0, 0
local function look()
  if collect("count") > live * 1.05 + 64 then
    collect()
    looked = looked + 1
    live = math.max(live, collect("count"))
  end
end
local chunk = assert(loadfile(program))
debug.sethook(look, "", 1000)
-- No result is of interest: a scenario that measures memory or time fails when it is looked at so often.
local ok, message = pcall(chunk, table.unpack(arg))
debug.sethook()
if not ok then print("(" .. tostring(message) .. ")") end
print(string.format("live at most %.0f bytes, %d whole collections", live * 1024, looked))
