-- require and the library package. Manual, 6.3.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end

assert(type(package.path) == "string" and type(package.cpath) == "string" and type(package.searchers) == "table")
assert(#package.searchers >= 2 and package.loaded._G == _G and package.loaded.string == string and package.loaded.package == package)
for _, name in ipairs { "_G", "coroutine", "debug", "io", "math", "os", "package", "string", "table", "utf8" } do
  assert(package.loaded[name] and require(name) == package.loaded[name], name)
end
assert(package.config == "/\n;\n?\n!\n-\n")

-- Preloaded modules: the loader gets the name and ":preload:"; the value is kept.
local calls = 0
package.preload.pre = function(...)
  calls = calls + 1
  assert(select("#", ...) == 2)
  local name, data = ...
  assert(name == "pre" and data == ":preload:")
  return { name = name }
end
local m, data = require("pre")
assert(m.name == "pre" and data == ":preload:" and require("pre") == m and calls == 1 and package.loaded.pre == m)
package.loaded.pre = nil
assert(require("pre") ~= m and calls == 2)

-- What a loader returns: nothing counts as true, false is kept but does not count as loaded.
package.preload.nothing = function() end
assert(require("nothing") == true and package.loaded.nothing == true)
package.preload.sets = function(name) package.loaded[name] = "set by itself" end
assert(require("sets") == "set by itself")
package.preload.returns_nil = function() return nil end
assert(require("returns_nil") == true)
package.preload.returns_false = function() calls = calls + 1 return false end
assert(require("returns_false") == false)
calls = 0
assert(require("returns_false") == false and calls == 1)
package.preload.number = function() return 42 end
assert(require("number") == 42)

-- Files by package.path.
local folder = os.tmpname()
os.remove(folder)
local prefix = folder .. "_"
local function write(name, text)
  local file = assert(io.open(prefix .. name, "w"))
  file:write(text)
  file:close()
end
local old_path = package.path
package.path = prefix .. "?.lua;" .. prefix .. "?_init.lua"
write("mod.lua", "local name, file = ... return { name = name, file = file, local_value = ... }")
local mod, where = require("mod")
assert(mod.name == "mod" and mod.file == prefix .. "mod.lua" and where == mod.file and require("mod") == mod)
write("pack_init.lua", "return 'initialised'")
assert(require("pack") == "initialised")
write("bad.lua", "x = = 1")
fails("error loading module 'bad' from file '" .. prefix .. "bad.lua'", require, "bad")
write("raises.lua", "error('while loading', 0)")
fails("while loading", require, "raises")
assert(package.loaded.raises == nil)
write("raises.lua", "return 'fine now'")
assert(require("raises") == "fine now")
write("globals.lua", "global_from_module = 5")
assert(require("globals") == true and global_from_module == 5)
-- Mutual requirement, with a table set early.
write("one.lua", "local M = {} package.loaded[...] = M M.two = require('two') return M")
write("two.lua", "return { one = require('one') }")
assert(require("one").two.one == require("one"))

-- A module that is not there: the message lists where it was looked for.
local ok, err = pcall(require, "no.such.module")
assert(not ok and err:find("module 'no.such.module' not found:", 1, true))
assert(err:find("no field package.preload['no.such.module']", 1, true))
assert(err:find("no file '" .. prefix .. "no/such/module.lua'", 1, true))
assert(err:find("no file '" .. prefix .. "no/such/module_init.lua'", 1, true))

-- searchpath.
assert(package.searchpath("mod", package.path) == prefix .. "mod.lua")
assert(package.searchpath("a.b", prefix .. "?.lua") == nil)
local found, message = package.searchpath("a.b", "x/?.lua;y/?.z")
assert(found == nil and message == "no file 'x/a/b.lua'\n\tno file 'y/a/b.z'" or message == "\n\tno file 'x/a/b.lua'\n\tno file 'y/a/b.z'")
found, message = package.searchpath("a-b", "./?", "-", "+")
assert(found == nil and message:find("no file './a+b'", 1, true))
found, message = package.searchpath("a.b", "./?", "", "")
assert(message:find("no file './a.b'", 1, true))

-- Searchers of one's own, with the data that they hand to the loader.
table.insert(package.searchers, 2, function(name)
  if name == "virtual" then return function(n, extra) return n .. ":" .. extra end, "extra data" end
  return "\n\tno virtual module '" .. name .. "'"
end)
assert(require("virtual") == "virtual:extra data" and select(2, require("virtual")) == nil)
package.loaded.virtual = nil
assert(select(2, require("virtual")) == "extra data")
fails("no virtual module 'absent'", require, "absent")
table.remove(package.searchers, 2)
local searchers = package.searchers
package.searchers = nil
fails("'package.searchers' must be a table", require, "absent")
package.searchers = searchers
package.path = nil
fails("'package.path' must be a string", require, "absent")
-- A number is as good as a string.
local old_cpath = package.cpath
package.path, package.cpath = 5, 6.5
fails("\n\tno file '5'\n\tno file '6.5'", require, "absent")
package.path, package.cpath = old_path, old_cpath
fails("bad argument #1 to 'require' (string expected, got no value)", require)

for _, name in ipairs { "mod", "pack_init", "bad", "raises", "globals", "one", "two" } do os.remove(prefix .. name .. ".lua") end
