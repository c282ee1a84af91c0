//! What is being typed, in colours.
//!
//! * **H1** The text stays as it is: only colour codes are added.
//! * **H2** Any text will do, finished or not; a very long one is left alone.
//!
//! May import `syntax` (the spans), `colour`, the shape of commands.

use super::commands;
use crate::cli::colour::{Colour, paint};
use crate::syntax::{Class, Span, spans};

/// Longer texts are shown as they are (H2): each key that is pressed colours all of it anew.
const LONGEST: usize = 1 << 16;

/// The text in colours. The bracket at the cursor, or before it, and its partner stand out.
pub fn highlight(text: &str, cursor: Option<usize>) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let (command, program) = text.split_at(commands::program_at(text.as_bytes()));
    let spans: Vec<Span> = spans(program.as_bytes()).collect();
    let partners = cursor.and_then(|at| at.checked_sub(command.len())).and_then(|at| partners(program.as_bytes(), &spans, at));
    let mut out = String::with_capacity(2 * text.len());
    paint(&mut out, Colour::Command, command);
    for (index, span) in spans.iter().enumerate() {
        let is_match = partners.is_some_and(|(a, b)| index == a || index == b);
        // S3: spans end between characters.
        paint(&mut out, if is_match { Colour::Match } else { colour(span.class) }, &program[span.start..span.end]);
    }
    Some(out)
}

fn colour(class: Class) -> Colour {
    match class {
        Class::Comment => Colour::Dim,
        Class::Keyword => Colour::Keyword,
        Class::Constant => Colour::Constant,
        Class::Number => Colour::Number,
        Class::Str => Colour::Str,
        Class::Stray => Colour::Error,
        Class::Space | Class::Name | Class::Bracket | Class::Operator => Colour::Plain,
    }
}

/// Whether a bracket stands at a place, or before it.
pub fn is_at_bracket(text: &str, cursor: usize) -> bool {
    let is_bracket = |at: usize| matches!(text.as_bytes().get(at), Some(b'(' | b')' | b'[' | b']' | b'{' | b'}'));
    is_bracket(cursor) || cursor > 0 && is_bracket(cursor - 1)
}

/// The numbers of the spans of the bracket at a place and of the one that it belongs to.
fn partners(text: &[u8], spans: &[Span], cursor: usize) -> Option<(usize, usize)> {
    let bracket_at = |at: usize| spans.iter().position(|span| span.class == Class::Bracket && span.start == at);
    let this = bracket_at(cursor).or_else(|| bracket_at(cursor.checked_sub(1)?))?;
    let mut open = Vec::new();
    for (index, span) in spans.iter().enumerate().filter(|(_, span)| span.class == Class::Bracket) {
        match text[span.start] {
            opening @ (b'(' | b'[' | b'{') => open.push((index, opening)),
            closing => {
                let (partner, opening) = open.pop()?;
                if closing != closes(opening) {
                    return None;
                }
                if index == this || partner == this {
                    return Some((partner, index));
                }
            }
        }
    }
    None
}

fn closes(opening: u8) -> u8 {
    match opening {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with `<code:...>` for what stands in a colour.
    fn shown(text: &str, cursor: Option<usize>) -> String {
        highlight(text, cursor).expect("colours").replace("\x1b[0m", ">").replace("\x1b[", "<").replace('m', ":")
    }

    #[test]
    fn tokens_have_colours() {
        assert_eq!(shown("if x == 0x1F", None), "<35:if> x == <33:0x1F>");
        assert_eq!(shown("f('a', nil) -- c", None), "f(<32:'a'>, <36:nil>) <2:-- c>");
        assert_eq!(shown("é = $", None), "<31:é> = <31:$>");
    }

    #[test]
    fn what_is_unfinished_has_them_too() {
        assert_eq!(shown("x = 'ab", None), "x = <32:'ab>");
        assert_eq!(shown("[==[ a\nb ]=]", None), "<32:[==[ a\nb ]=]>");
        assert_eq!(shown("--[[ a\nb", None), "<2:--[[ a\nb>");
        assert_eq!(shown("0x", None), "<33:0x>");
        assert_eq!(shown("'\\", None), "<32:'\\>");
    }

    #[test]
    fn brackets_find_their_partners() {
        assert_eq!(shown("f(')')", Some(6)), "f<1;4:(><32:')'><1;4:)>");
        assert_eq!(shown("f(')')", Some(1)), "f<1;4:(><32:')'><1;4:)>");
        assert_eq!(shown("{(})", Some(0)), "{(})");
        assert_eq!(shown("(", Some(1)), "(");
    }

    #[test]
    fn commands_stand_before_a_program_or_alone() {
        assert_eq!(shown(".ti\u{6d}e nil", Some(2)).replace("ti:e", "time"), "<34:.time ><36:nil>");
        assert_eq!(shown(".load if.lua", None), "<34:.load if.lua>");
        assert_eq!(shown(".5", None), "<33:.5>");
    }

    #[test]
    fn nothing_but_colours_is_added() {
        let mut state = 3u64;
        for round in 0..2000 {
            let text: String = (0..round % 30)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    ['\'', '[', ']', '-', '=', '\\', '"', 'é', '漢', 'x', '0', '.', '\n', '(', ')', ' ']
                        [(state >> 59) as usize % 16]
                })
                .collect();
            for cursor in 0..=text.len() {
                let mut plain = highlight(&text, Some(cursor)).expect("colours");
                for code in
                    ["\x1b[0m", "\x1b[35m", "\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[34m", "\x1b[1;4m", "\x1b[31m", "\x1b[2m"]
                {
                    plain = plain.replace(code, "");
                }
                assert_eq!(plain, text);
            }
        }
        assert!(highlight(&"x".repeat(LONGEST + 1), None).is_none());
    }
}
