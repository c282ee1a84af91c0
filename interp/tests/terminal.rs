//! The command on a terminal: what a person sees who types.

mod common;

#[path = "common/terminal.rs"]
mod terminal;

use common::{Folder, is_neap};
use std::time::Duration;
use terminal::Terminal;

#[test]
fn on_a_terminal() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("Lua 5.4");
    t.expect("> ");
    t.press("6 * 7\r");
    t.expect("42");
    t.expect("> ");
    // Ctrl-C gives up what was typed ...
    t.press("for i = 1, 2 do\r");
    t.press("\u{3}");
    t.expect("> ");
    t.ask("'still' .. ' here'", "\"still here\"");
    // ... and interrupts what runs.
    t.press("io.write('go', 'ing') io.flush() while true do end\r");
    t.expect("going");
    t.press("\u{3}");
    t.expect("interrupted!");
    t.expect("> ");
    // A script reads from the same terminal.
    t.press("io.write('what', '?') io.flush() x = io.read()\r");
    t.expect("what?");
    t.press("typed\n");
    t.expect("> ");
    t.press("x:upper()\r");
    t.expect("TYPED");
    t.expect("> ");
    t.press("\u{4}");
    t.ends();
    let history = std::fs::read_to_string(folder.0.join("neap/history")).expect("a history");
    assert!(history.contains("6 * 7") && history.contains("x:upper()"), "{history}");

    // The next session remembers.
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.press("\u{1b}[A\r");
    t.expect("x:upper()");
    t.expect("nil value");
    t.expect("> ");
    t.press("os.exit(0)\r");
    t.ends();
}

#[test]
fn results_are_readable_on_a_terminal() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    for setting in ["", "stress,audit"] {
        let mut t = Terminal::start_with(&folder.0, &[("NO_COLOR", "1"), ("NEAP_GC", setting)]);
        t.expect("Type .help for help.\n");
        t.expect("> ");
        t.ask("{1, 2, {x = 'y'}, n = 3}", "{1, 2, {x = \"y\"}, n = 3}\n");
        t.ask("_.n, 'a\\n\\xFF'", "3\t\"a\\n\\xFF\"\n");
        t.ask("_ + 1", "4\n");
        t.ask("local t = {} t.t = t return t", "{t = <cycle>}\n");
        t.ask("setmetatable({}, {__tostring = function(t) return 'told' end})", "told\n");
        t.ask("setmetatable({}, {__tostring = function(t) error('no', 0) end}), 2", "<error in __tostring: no>\t2\n");
        t.ask("('x'):rep(1e5)", "\"xxxxxxxxxx");
        // Neither a global environment that refuses what it does not know nor metamethods that fail are asked.
        t.ask("function fail() error('no', 0) end", "");
        t.ask("meta = {__index = fail, __newindex = fail, __pairs = fail, __len = fail, __name = {}}", "");
        t.ask("setmetatable({1, x = 2}, meta)", "{1, x = 2}\n");
        t.ask("setmetatable(_G, {__index = fail, __newindex = fail}) and 5", "5\n");
        t.ask("_ + 1", "6\n");
        t.ask("unknown", "no\n");
        // `print` prints as ever.
        t.ask("print('a', nil)", "a\tnil\n");
        t.press("\u{4}");
        t.ends();
    }
}

#[test]
fn inputs_may_be_of_several_lines() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("for i = 1, 2 do\r  io.write(i, ';')\rend print()", "1;2;\n");
    t.ask("{\r  1,\r  'two'\r}", "{1, \"two\"}\n");
    t.ask("return [[a\rb]]", "\"a\\nb\"\n");
    t.ask("math.max(\r1, 2)", "2\n");
    // What comes in one piece is one input.
    t.ask("\u{1b}[200~x = 5\ny = 6\u{1b}[201~\rx + y", "11\n");
    // A string in quotes goes on where the language says so (3.1).
    t.ask("'a\\\rb', \"a\\z\r  b\"", "\"a\\nb\"\t\"ab\"\n");
    // What can't be completed is an error at once.
    t.ask("'abc", "stdin:1: unfinished string near <eof>\n");
    // The whole input comes back from the history, in the next session too.
    t.ask("math.max(\r3, 4)", "4\n");
    t.press("\u{4}");
    t.ends();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.press("\u{1b}[A\r");
    t.expect("3, 4)\n4\n");
    t.expect("> ");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn names_are_completed() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.press("account = {balance = 7} function account:show() return self.balance end\r");
    t.expect("\n> ");
    t.ask("acc\t.bal\t", "7\n");
    t.ask("1 + account:sh\t()", "8\n");
    t.ask("('up'):upp\t()", "\"UP\"\n");
    // Several: all are shown.
    t.press("string.re\t");
    t.expect("rep      reverse");
    t.press("p('ab', 2)\r");
    t.expect("\"abab\"\n");
    t.expect("> ");
    t.press(".he\t");
    t.expect("heap  help");
    t.press("lp\r");
    t.expect(".save FILE");
    t.expect("> ");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn errors_show_their_place() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("x = = 1", "stdin:1: unexpected symbol near '='\n   1 | x = = 1\n     |     ^\n");
    // Of its two readings, as an expression and as a statement, the one that gets further knows more.
    t.ask("{a=1 b=2}", "stdin:1: '}' expected near 'b'\n   1 | {a=1 b=2}\n     |      ^\n");
    t.ask("1 + * 2", "stdin:1: unexpected symbol near '*'\n   1 | 1 + * 2\n     |     ^\n");
    t.ask(".time f(1 2)", "stdin:1: ')' expected near '2'\n   1 | f(1 2)\n     |     ^\n");
    t.ask(
        "{\r  1,\r  a = b c\r",
        "stdin:3: '}' expected (to close '{' at line 1) near 'c'\n   3 |   a = b c\n     |         ^\n",
    );
    t.ask("1 +)", "stdin:1: unexpected symbol near ')'\n");
    t.ask("goto nowhere", "stdin:1: no visible label 'nowhere' for <goto> at line 1\n");
    t.press("function f(t)\r  return t.x.y\rend\r");
    t.expect("end\n> ");
    // The line is that of the input in which the function stands, not of this one.
    t.press("f({})\r");
    t.expect("stdin:2: attempt to index a nil value (field 'x')\nstack traceback:\n");
    t.expect("   2 |   return t.x.y\n");
    t.expect("> ");
    t.ask("nothing.at.all", "stdin:1: attempt to index a nil value (global 'nothing')\nstack traceback:\n\tstdin:1: in main chunk\n\t[C]: in ?\n   1 | nothing.at.all\n");
    t.press("load('local a\\nerror(\"in a string\")')()\r");
    t.expect("   2 | error(\"in a string\")\n");
    let file = folder.0.join("bad.lua");
    std::fs::write(&file, "local a = 1\nlocal b = a .. {}\n").expect("a file");
    t.press(format!(".load {}\r", file.display()));
    t.expect("bad.lua:2: attempt to concatenate a table value");
    t.expect("   2 | local b = a .. {}\n");
    std::fs::write(&file, "local a = \n)\n").expect("a file");
    t.press(format!(".load {}\r", file.display()));
    t.expect("bad.lua:2: unexpected symbol near ')'\n   2 | )\n     | ^\n");
    t.expect("> ");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn scripts_show_the_line_of_an_error_on_a_terminal() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let plain = [("NO_COLOR", "1")];
    std::fs::write(folder.0.join("e.lua"), "#!neap\nlocal t\nprint(t.x)\n").expect("a file");
    let mut t = Terminal::run(&folder.0, &plain, &["e.lua"]);
    let message =
        "neap: e.lua:3: attempt to index a nil value (local 't')\nstack traceback:\n\te.lua:3: in main chunk\n\t[C]: in ?\n";
    t.expect(&format!("{message}   3 | print(t.x)\n"));
    t.ends_with(1);
    std::fs::write(folder.0.join("s.lua"), "#!neap\nx = [1]\n").expect("a file");
    for words in [&["s.lua"][..], &["--check", "s.lua"]] {
        let mut t = Terminal::run(&folder.0, &plain, words);
        t.expect("neap: s.lua:2: unexpected symbol near '['\n   2 | x = [1]\n     |     ^\n");
        t.ends_with(1);
    }
    let mut t = Terminal::run(&folder.0, &[], &["-e", "x = )"]);
    t.expect("neap: (command line):1: unexpected symbol near ')'\n\u{1b}[2m   1 | \u{1b}[0mx = )\n");
    t.expect("\u{1b}[31m^\u{1b}[0m\n");
    t.ends_with(1);
}

/// As C has it: who asks a question without a newline is heard before the answer is read.
#[test]
fn a_question_is_seen_before_its_answer_is_read() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    for read in ["io.read()", "io.read('n', 'l')", "io.stdin:read('L')", "io.lines()()", "io.open('/dev/tty'):read()"] {
        let mut t = Terminal::run(&folder.0, &[], &["-e", &format!("io.write('na', 'me? ') {read} print('tha' .. 'nks')")]);
        t.expect("name? ");
        t.press("5\n");
        t.expect("thanks\n");
        t.ends();
    }
    let mut t = Terminal::run(&folder.0, &[], &["-e", "io.write('co', 'de? ') dofile()"]);
    t.expect("code? ");
    t.press("print('do' .. 'ne')\n\u{4}");
    t.expect("done\n");
    t.ends();
}

#[test]
fn output_without_a_newline_is_not_drawn_over() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("for i = 1, 3 do io.write(i) end", "123\n");
    t.ask("(function() io.write('a', 'b') return 1 end)()", "ab\n1\n");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn commands() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let saved = folder.0.join("saved.lua");
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("count = 0", "");
    t.ask("function up() count = count + 1 return count end", "");
    t.ask("up()", "1\n");
    t.ask("nonsense nonsense", "stdin:1: ");
    t.ask(&format!(".save {}", saved.display()), "3 inputs saved in ");
    t.ask(&format!(".load {}", saved.display()), "");
    t.ask("count", "1\n");
    t.ask(".time up()", "2\ntime: ");
    // What is timed is the program, not how long it takes to show what it comes to.
    t.press(".time setmetatable({}, {__tostring = function() local t = os.clock() repeat until os.clock() - t > 1 return 'sl' .. 'ow' end})\r");
    t.expect("slow\ntime: ");
    let time = t.expect("s\n");
    assert!(time.ends_with(['µ', 'm']), "{time}");
    t.expect("> ");
    t.ask(".time for i = 1, 2 do\r up() end", "time: ");
    t.ask("count", "4\n");
    t.ask(".gc", "heap ");
    t.ask(".gc full", "collected ");
    t.ask(".gc half", "usage: .gc [full]\n");
    t.ask(".heap", "kind ");
    t.ask(".census", "kind ");
    t.ask(".pauses", "wall, ms ");
    t.ask(".why count", "a number is no object of the heap\n");
    t.ask(".hepl", "there is no command .hepl (did you mean .help?); .help lists them\n");
    t.ask(".save", "usage: .save FILE\n");
    t.ask(".quit now", ".quit takes no argument\n");
    t.ask(".load nowhere.lua", "cannot open nowhere.lua: No such file or directory\n");
    t.ask(".5 + 1", "1.5\n");
    t.press(".quit\r");
    t.ends();
    assert_eq!(
        std::fs::read_to_string(saved).expect("a file"),
        "count = 0\nfunction up() count = count + 1 return count end\n_ = up()\n"
    );
}

/// The editor completes names of files as shells do: so they are read.
#[test]
fn names_of_files_are_completed() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    for name in ["my file.lua", "its\"name.lua"] {
        std::fs::write(folder.0.join(name), format!("print('from ' .. {name:?})")).expect("a file");
    }
    let home = folder.0.to_str().expect("UTF-8");
    let mut t = Terminal::start_with(&folder.0, &[("NO_COLOR", "1"), ("HOME", home)]);
    t.expect("> ");
    for typed in ["my\t", "\"my\t", "'my\t", "~/my\t", "my file.lua", "'my file.lua'"] {
        t.ask(&format!(".load {typed}"), "from my file.lua\n");
    }
    t.ask(".load its\t", "from its\"name.lua\n");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn a_history_that_cannot_be_had_is_no_error() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let file = folder.0.join("neap/history");
    // A folder in its place.
    std::fs::create_dir_all(&file).expect("a folder");
    let mut t = Terminal::start(&folder.0);
    t.expect("help.\n> ");
    t.ask("1 + 1", "2\n");
    t.press("\u{4}");
    t.ends();
    // One that is not text is left alone, and said to be so.
    std::fs::remove_dir(&file).expect("an empty folder");
    std::fs::write(&file, b"#V2\none\n\xFF\n").expect("a file");
    let mut t = Terminal::start(&folder.0);
    t.expect(&format!("no history: {} is not UTF-8\n", file.display()));
    t.expect("> ");
    t.ask("1 + 1", "2\n");
    t.press("\u{4}");
    t.ends();
    assert_eq!(std::fs::read(&file).expect("a file"), b"#V2\none\n\xFF\n");
}

/// A home that is not there is none to make.
#[test]
fn no_home_no_history() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let home = folder.0.join("nowhere/home");
    let home = home.to_str().expect("UTF-8");
    let mut t = Terminal::start_with(&folder.0, &[("NO_COLOR", "1"), ("XDG_STATE_HOME", ""), ("HOME", home)]);
    t.expect("help.\n> ");
    t.ask("1 + 1", "2\n");
    t.press("\u{4}");
    t.ends();
    assert!(!folder.0.join("nowhere").exists());
    // In one that is, the folders for it are made.
    let home = folder.0.to_str().expect("UTF-8");
    let mut t = Terminal::start_with(&folder.0, &[("NO_COLOR", "1"), ("XDG_STATE_HOME", ""), ("HOME", home)]);
    t.expect("> ");
    t.ask("1 + 1", "2\n");
    t.press("\u{4}");
    t.ends();
    assert!(folder.0.join(".local/state/neap/history").exists());
}

#[test]
fn keys_may_be_no_text() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.press(b"x = '\xFF'\r");
    t.expect("not UTF-8");
    t.expect("> ");
    t.press("\u{3}");
    t.expect("> ");
    t.ask("'é漢\u{301}'", "\"é漢\u{301}\"\n");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn an_interrupt_gets_through() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    for busy in [
        "local a = ('a'):rep(30) a:find(('a?'):rep(30) .. a)",
        "table.concat(setmetatable({}, {__index = function() return '' end, __len = function() return 1 << 40 end}))",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "coroutine.wrap(function() while true do end end)()",
    ] {
        t.press(format!("io.write('bu', 'sy') io.flush() {busy}\r"));
        t.expect("busy");
        std::thread::sleep(Duration::from_millis(50));
        t.press("\u{3}");
        t.expect("interrupted!");
        t.expect("> ");
    }
    // Printing runs the program too.
    t.press("setmetatable({}, {__tostring = function() print('go' .. 'ing') while true do end end})\r");
    t.expect("going");
    t.press("\u{3}");
    t.expect("interrupted!");
    t.ask("1 + 1", "2\n");
    t.press("\u{4}");
    t.ends();
}

/// One Ctrl-C gives up all that waits for a `__tostring`; a second one would end the program.
#[test]
fn an_interrupt_gives_up_the_printing_of_all_values() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.ask("slow = setmetatable({}, {__tostring = function() print('go' .. 'ing') while true do end end})", "");
    for values in ["slow, slow, slow", "{slow, slow, {slow}}"] {
        t.press(format!("{values}\r"));
        t.expect("going");
        t.press("\u{3}");
        t.expect("interrupted!");
        t.expect("table: 0x");
        t.expect("table: 0x");
        t.expect("> ");
    }
    t.ask("1 + 1", "2\n");
    t.press("\u{4}");
    t.ends();
}

/// A terminal may take what is printed slowly, or not at all for a while (Ctrl-S).
#[test]
fn an_interrupt_while_results_are_written_is_survived() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start(&folder.0);
    t.expect("> ");
    t.press("io.write('go', 'ing') io.flush() io.read() return ('x'):rep(3000)\r");
    t.expect("going");
    t.press("\u{13}");
    t.press("\n");
    // Until the writing waits. If it does not yet, this is an interrupt like any other.
    std::thread::sleep(Duration::from_millis(100));
    t.press("\u{3}");
    t.expect("\n> ");
    t.ask("1 + 1", "2\n");
    t.press("\u{4}");
    t.ends();
}

#[test]
fn colours_and_hints() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start_with(&folder.0, &[]);
    t.expect("> ");
    t.press("if nil then");
    t.expect("\u{1b}[35mif\u{1b}[0m \u{1b}[36mnil\u{1b}[0m \u{1b}[35mthen\u{1b}[0m");
    t.press("\u{3}");
    t.expect("\n> ");
    // The rest of the only name that fits; the arrow takes it.
    t.press("tostr");
    t.expect("tostr\u{1b}[2ming\u{1b}[0m");
    t.press("\u{1b}[C('a') .. 1\r");
    t.expect("\n\u{1b}[32m\"a1\"\u{1b}[0m\n");
    // What was typed before.
    t.press("to");
    t.expect("to\u{1b}[2mstring('a') .. 1\u{1b}[0m");
    t.press("\u{3}");
    t.expect("\n> ");
    t.press("\u{4}");
    t.ends();
}

/// What is pasted, where the terminal does not say that it is, comes as keys; to paint all of the text at each of them would take longer and longer.
#[test]
fn keys_in_a_row_are_not_painted_one_by_one() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let lines: String = (0..198).map(|i| format!("  local variable_{i} = some_function({i}, 'text')\r")).collect();
    let many_lines = format!("if false then\r{lines}end\r");
    let long_line = format!("x = {}1\r", "1 + ".repeat(1000));
    for keys in [many_lines, long_line] {
        let mut t = Terminal::start_with(&folder.0, &[]);
        t.expect("> ");
        t.press(&keys);
        t.press("'do' .. 'ne'\r");
        t.expect("\"done\"");
        t.press("\u{4}");
        assert!(t.drawn < 2000 * keys.len(), "{} bytes for {} keys", t.drawn, keys.len());
        t.ends();
    }
}

#[test]
fn a_dumb_terminal_gets_plain_text() {
    if !is_neap() {
        return;
    }
    let folder = Folder::new();
    let mut t = Terminal::start_with(&folder.0, &[("TERM", "dumb")]);
    t.expect("> ");
    t.press("for i = 1, 1 do\n");
    t.expect(">> ");
    t.press("print(i) end\n");
    t.expect("\n1\n> ");
    t.press("{1, 'x'}\n");
    t.expect("{1, \"x\"}\n> ");
    t.press(".help\n");
    t.expect(".quit");
    assert!(!t.seen.contains('\u{1b}'));
    t.press("\u{4}");
    t.ends();
}
