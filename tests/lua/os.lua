-- The library os. Manual, 6.9.

local function fails(message, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok and tostring(err):find(message, 1, true), tostring(err))
end

-- Clocks.
local start = os.clock()
assert(math.type(start) == "float" and start >= 0)
for _ = 1, 1000 do end
assert(os.clock() >= start)
local now = os.time()
assert(math.type(now) == "integer" and now > 1700000000 and os.difftime(now + 5, now) == 5.0 and math.type(os.difftime(1, 0)) == "float")

-- time and date are inverse to each other.
local d = os.date("*t", now)
assert(os.time(d) == now and type(d.isdst) == "boolean" and d.year >= 2023 and d.month >= 1 and d.month <= 12)
local utc = os.date("!*t", 0)
assert(utc.year == 1970 and utc.month == 1 and utc.day == 1 and utc.hour == 0 and utc.min == 0 and utc.sec == 0)
assert(utc.wday == 5 and utc.yday == 1 and utc.isdst == false)
utc = os.date("!*t", 951782400)
assert(utc.year == 2000 and utc.month == 2 and utc.day == 29 and utc.yday == 60 and utc.wday == 3)
assert(os.date("!%Y-%m-%d %H:%M:%S", 86399) == "1970-01-01 23:59:59")
assert(os.date("!%d/%m/%y %j %p %I %a %A %b %B %%", 951782400) == "29/02/00 060 AM 12 Tue Tuesday Feb February %")
assert(os.date("!%c", 0) == "Thu Jan  1 00:00:00 1970" and os.date("!%x %X %D %F %T %R", 0) == "01/01/70 00:00:00 01/01/70 1970-01-01 00:00:00 00:00")
assert(os.date("!%e|%n|%t|%u|%w|%C|%h|%G-%V|%g|%U|%W|%r|%M|%S|", 0):find("^ 1|\n|\t|4|4|19|Jan|1970%-01|70|00|00|12:00:00 AM|00|00|"))
assert(os.date("!%Y", -86400) == "1969" and os.date("!%H", 3600.0) == "01" and os.date("") == "")
assert(os.date("!%Ey %Od", 0) == "70 01")
fails("invalid conversion specifier '%Q'", os.date, "%Q")
fails("invalid conversion specifier '%'", os.date, "%")
fails("invalid conversion specifier '%E'", os.date, "%E")
fails("invalid conversion specifier '%Ea'", os.date, "%Ea")
fails("number has no integer representation", os.date, "%Y", 1.5)
fails("cannot be represented", os.date, "*t", math.maxinteger)

-- time normalises its table.
local t = { year = 2024, month = 14, day = -3, hour = 25, min = 61, sec = -1 }
local stamp = os.time(t)
assert(t.year == 2025 and t.month == 1 and t.day == 29 and t.hour == 2 and t.min == 0 and t.sec == 59 and t.yday == 29, t.day)
assert(os.time(t) == stamp)
assert(os.time({ year = 2000, month = 1, day = 1 }) == os.time({ year = 2000, month = 1, day = 1, hour = 12 }))
assert(os.time({ year = 2000, month = 1, day = 2, hour = 0 }) - os.time({ year = 2000, month = 1, day = 1, hour = 0 }) == 86400)
assert(os.time({ year = "2000", month = "1", day = "1" }) == os.time({ year = 2000.0, month = 1, day = 1 }))
fails("field 'day' missing in date table", os.time, { year = 2000, month = 1 })
fails("field 'month' is not an integer", os.time, { year = 2000, month = 1.5, day = 1 })
fails("field 'year' is not an integer", os.time, { year = "x", month = 1, day = 1 })
fails("field 'year' is out-of-bound", os.time, { year = math.maxinteger, month = 1, day = 1 })
fails("table expected, got number", os.time, 5)

-- Files.
local name = os.tmpname()
local f = assert(io.open(name, "w"))
f:close()
assert(os.rename(name, name .. ".moved") == true)
local ok, message, code = os.remove(name)
assert(ok == nil and message == name .. ": No such file or directory" and code == 2)
assert(os.remove(name .. ".moved") == true)
ok, message, code = os.rename(name, name .. "x")
assert(ok == nil and message:find("No such file or directory", 1, true) and code == 2)

-- The environment and the shell.
assert(os.getenv("PATH") and os.getenv("NO_SUCH_VARIABLE_HERE") == nil)
assert(os.execute() == true)
local how
ok, how, code = os.execute("exit 7")
assert(ok == nil and how == "exit" and code == 7)
ok, how, code = os.execute("true")
assert(ok == true and how == "exit" and code == 0)
ok, how, code = os.execute("kill -15 $$")
assert(ok == nil and how == "signal" and code == 15)

-- Locales.
assert(os.setlocale() == "C" and os.setlocale("C") == "C" and os.setlocale(nil, "numeric") == "C" and os.setlocale("no such locale") == nil)
fails("invalid option 'nothing'", os.setlocale, "C", "nothing")
