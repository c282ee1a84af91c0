//! The tokens of the language, as `logos` tells them apart.

use logos::Logos;

/// The class of a token. What a name, a string or a numeral stands for is read by the lexer, which also hides the
/// classes after `Eof`: they are only where a longer token begins.
#[derive(Logos, Clone, Copy, PartialEq, Eq, Debug)]
#[logos(utf8 = false)]
pub enum Token {
    #[token("and")]
    And,
    #[token("break")]
    Break,
    #[token("do")]
    Do,
    #[token("else")]
    Else,
    #[token("elseif")]
    Elseif,
    #[token("end")]
    End,
    #[token("false")]
    False,
    #[token("for")]
    For,
    #[token("function")]
    Function,
    #[token("goto")]
    Goto,
    #[token("if")]
    If,
    #[token("in")]
    In,
    #[token("local")]
    Local,
    #[token("nil")]
    Nil,
    #[token("not")]
    Not,
    #[token("or")]
    Or,
    #[token("repeat")]
    Repeat,
    #[token("return")]
    Return,
    #[token("then")]
    Then,
    #[token("true")]
    True,
    #[token("until")]
    Until,
    #[token("while")]
    While,

    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("//")]
    DoubleSlash,
    #[token("%")]
    Percent,
    #[token("^")]
    Caret,
    #[token("#")]
    Hash,
    #[token("&")]
    Ampersand,
    #[token("~")]
    Tilde,
    #[token("|")]
    Pipe,
    #[token("<<")]
    ShiftLeft,
    #[token(">>")]
    ShiftRight,
    #[token("==")]
    Equal,
    #[token("~=")]
    NotEqual,
    #[token("<=")]
    LessEqual,
    #[token(">=")]
    GreaterEqual,
    #[token("<")]
    Less,
    #[token(">")]
    Greater,
    #[token("=")]
    Assign,
    #[token("(")]
    LeftParen,
    #[token(")")]
    RightParen,
    #[token("{")]
    LeftBrace,
    #[token("}")]
    RightBrace,
    #[token("[")]
    LeftBracket,
    #[token("]")]
    RightBracket,
    #[token("::")]
    DoubleColon,
    #[token(";")]
    Semicolon,
    #[token(":")]
    Colon,
    #[token(",")]
    Comma,
    #[token(".")]
    Dot,
    #[token("..")]
    Concat,
    #[token("...")]
    Dots,

    #[regex("[A-Za-z_][A-Za-z0-9_]*")]
    Name,
    Str,
    Int,
    Float,
    /// Any byte that starts no token.
    Other,
    Eof,

    #[regex(r"\.?[0-9]")]
    NumeralStart,
    #[regex(r#"["']"#)]
    Quote,
    /// Two bytes of a long bracket, whose level has to be counted.
    #[token("[[")]
    #[token("[=")]
    LongBracket,
    #[token("--")]
    CommentStart,
    #[regex(r"\r\n?|\n\r?")]
    Newline,
    #[regex(r"[ \t\x0B\x0C]", blanks)]
    Blank,
}

/// Takes up the blanks behind one, so many that it is done at once.
fn blanks(lexer: &mut logos::Lexer<Token>) {
    const MOST: usize = 1 << 15;
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | 0x0B | 0x0C);
    let more = lexer.remainder().iter().take(MOST).take_while(is_blank).count();
    lexer.bump(more);
}

/// The reserved words.
pub const KEYWORDS: [Token; 22] = {
    use Token::*;
    [
        And, Break, Do, Else, Elseif, End, False, For, Function, Goto, If, In, Local, Nil, Not, Or, Repeat, Return, Then, True,
        Until, While,
    ]
};

impl Token {
    /// The text of a token that has only one, or how messages call its class.
    pub fn text(self) -> &'static str {
        match self {
            Token::And => "and",
            Token::Break => "break",
            Token::Do => "do",
            Token::Else => "else",
            Token::Elseif => "elseif",
            Token::End => "end",
            Token::False => "false",
            Token::For => "for",
            Token::Function => "function",
            Token::Goto => "goto",
            Token::If => "if",
            Token::In => "in",
            Token::Local => "local",
            Token::Nil => "nil",
            Token::Not => "not",
            Token::Or => "or",
            Token::Repeat => "repeat",
            Token::Return => "return",
            Token::Then => "then",
            Token::True => "true",
            Token::Until => "until",
            Token::While => "while",
            Token::Plus => "+",
            Token::Minus => "-",
            Token::Star => "*",
            Token::Slash => "/",
            Token::DoubleSlash => "//",
            Token::Percent => "%",
            Token::Caret => "^",
            Token::Hash => "#",
            Token::Ampersand => "&",
            Token::Tilde => "~",
            Token::Pipe => "|",
            Token::ShiftLeft => "<<",
            Token::ShiftRight => ">>",
            Token::Equal => "==",
            Token::NotEqual => "~=",
            Token::LessEqual => "<=",
            Token::GreaterEqual => ">=",
            Token::Less => "<",
            Token::Greater => ">",
            Token::Assign => "=",
            Token::LeftParen => "(",
            Token::RightParen => ")",
            Token::LeftBrace => "{",
            Token::RightBrace => "}",
            Token::LeftBracket | Token::LongBracket => "[",
            Token::RightBracket => "]",
            Token::DoubleColon => "::",
            Token::Semicolon => ";",
            Token::Colon => ":",
            Token::Comma => ",",
            Token::Dot => ".",
            Token::Concat => "..",
            Token::Dots => "...",
            Token::Name => "<name>",
            Token::Str | Token::Quote => "<string>",
            Token::Int => "<integer>",
            Token::Float | Token::NumeralStart => "<number>",
            Token::Eof => "<eof>",
            Token::Other | Token::CommentStart | Token::Newline | Token::Blank => "<other>",
        }
    }

    /// The token as a message quotes it when it was expected: fixed ones in quotes, classes bare.
    pub fn quoted(self) -> String {
        match self.text() {
            class if class.len() > 2 && class.starts_with('<') => class.to_string(),
            fixed => format!("'{fixed}'"),
        }
    }
}
