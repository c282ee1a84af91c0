//! The course in `docs/memory`: each of its scripts is run, and must print what stands below it, to the last byte. The programs of `examples/contrast` that it speaks of
//! are run, too.
//!
//! A script is a block marked `lua`, its output the block marked `text` right behind it: first what goes to the standard output, then what goes to the standard error.

mod common;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A script of the course.
struct Lesson {
    /// File and line, to be found again.
    place: String,
    script: String,
    output: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// The Markdown files of the course, by name.
fn chapters() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs/memory")).expect("the course");
    let mut files: Vec<_> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    files.sort();
    files
}

/// The scripts of a chapter, each with its output. One without is an error: it would not be tested.
fn lessons(file: &Path) -> Vec<Lesson> {
    let text = std::fs::read_to_string(file).expect("a chapter");
    let name = file.file_name().expect("a name").to_string_lossy();
    let mut lines = text.lines().enumerate();
    let mut lessons = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line != "```lua" {
            continue;
        }
        let place = format!("{name}:{}", number + 1);
        let script = block(&mut lines);
        let next = lines.by_ref().map(|(_, line)| line).find(|line| !line.is_empty());
        assert_eq!(next, Some("```text"), "{place}: a script without output");
        lessons.push(Lesson { place, script, output: block(&mut lines) });
    }
    lessons
}

/// The lines up to the end of a block.
fn block<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> String {
    lines.map(|(_, line)| line).take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect()
}

/// Runs `examples/contrast` with a word; it must end well, and tell nothing on the standard error.
fn contrast(word: &str) -> String {
    let mut command = common::command();
    // The script starts itself again, by the name under which it was started.
    command.arg0(common::interpreter()).args(["contrast.lua", word]).current_dir(root().join("examples/contrast"));
    let outcome = common::run(command, b"", Duration::from_secs(300)).expect("a run");
    let errors = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(outcome.stdout).expect("UTF-8")
}

/// Runs a script that is called `script.lua`, in a folder of its own.
fn run(lesson: &Lesson) -> String {
    let folder = common::Folder::new();
    std::fs::write(folder.0.join("script.lua"), &lesson.script).expect("a script");
    let mut command = common::command();
    command.arg("script.lua").current_dir(&folder.0);
    let outcome = common::run(command, b"", Duration::from_secs(120)).unwrap_or_else(|why| panic!("{}: {why}", lesson.place));
    let text = [outcome.stdout, outcome.stderr].concat();
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn every_script_prints_what_stands_below_it() {
    let chapters = chapters();
    let numbered =
        chapters.iter().filter(|file| file.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit()));
    assert_eq!(numbered.clone().count(), 6);
    for chapter in numbered {
        assert!((2..=4).contains(&lessons(chapter).len()), "{}", chapter.display());
    }
    let mut wrong = String::new();
    for lesson in chapters.iter().flat_map(|chapter| lessons(chapter)) {
        let output = run(&lesson);
        if output != lesson.output {
            wrong += &format!("{} prints\n{output}not\n{}\n", lesson.place, lesson.output);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn all_ways_of_the_contrast_compute_the_same() {
    let table = contrast("0.02");
    // A row for each of four structures in four ways, the head, and what is only said if all sums agree.
    assert_eq!(table.lines().count(), 18, "{table}");
    assert!(table.ends_with("\nall ways compute the same\n"), "{table}");
}

#[test]
fn a_free_forgotten_or_done_twice_is_as_the_contrast_says() {
    let text = std::fs::read_to_string(root().join("examples/contrast/README.md")).expect("a text");
    let mut lines = text.lines().enumerate();
    lines.by_ref().find(|(_, line)| *line == "```text").expect("the output");
    assert_eq!(contrast("misuse"), block(&mut lines));
}
