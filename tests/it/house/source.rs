//! What the rules read: the repository's files, and Rust text with its comments and strings blanked out.
//!
//! Not a parser. Blanking keeps every line and column, so that a finding's line is the file's line.

use std::fmt;
use std::fs;
use std::path::Path;

/// One file, by its path from the repository's root with `/` between the parts.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What a rule found: where, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Source {
    /// A file of a rule's own test.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// A finding in this file.
    pub(crate) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The first part of the path: the crate, for a file in one.
    pub(crate) fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// The text with comments and the insides of strings replaced by spaces.
    pub(crate) fn code(&self) -> String {
        blank(&self.text)
    }
}

/// Fails with all findings, one a line.
pub(crate) fn expect_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} finding(s):\n{}", lines.len(), lines.join("\n"));
}

/// The lines (from 1) on which `word` stands as a whole identifier.
pub(crate) fn lines_naming(code: &str, word: &str) -> Vec<usize> {
    code.lines().enumerate().filter(|(_, line)| names(line, word)).map(|(index, _)| index + 1).collect()
}

/// Whether `word` stands in `line` as a whole identifier.
pub(crate) fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part)
            && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// Every text file of the repository that git would keep, in the order of their paths.
pub(crate) fn repository() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(root(), root(), &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.iter().any(|s| s.path == "tests/it/house.rs"), "the walk does not see this very file");
    sources
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate `tests` is a folder of the root")
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read") {
        let path = entry.expect("an entry of it too").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let kept = !["target", ".git", "data", "node_modules"].contains(&name.as_str());
            if kept {
                collect(root, &path, sources);
            }
            continue;
        }
        // What is not UTF-8 is captured bytes: no rule reads it.
        if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).expect("the walk began at the root");
            sources.push(Source { path: path.to_string_lossy().into_owned(), text });
        }
    }
}

fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = opaque_end(bytes, at);
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole comments, strings and characters were replaced")
}

/// If a comment, a string or a character begins at `at`, where it ends; else `at`.
fn opaque_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    match rest[0] {
        b'/' if rest.starts_with(b"//") => at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        b'/' if rest.starts_with(b"/*") => at + block_comment_bytes(rest),
        b'"' => at + quoted_bytes(rest, b'"'),
        b'r' if !follows_identifier(bytes, at) => at + raw_string_bytes(rest),
        b'\'' => at + character_bytes(rest),
        _ => at,
    }
}

fn follows_identifier(bytes: &[u8], at: usize) -> bool {
    // `br"…"` and `cr"…"` are raw strings; `for"` is not a thing anyone writes.
    at > 0
        && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
        && !matches!(bytes[at - 1], b'b' | b'c')
}

fn block_comment_bytes(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_bytes(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string that begins with `r`, or 0 if none does.
fn raw_string_bytes(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let closing: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = 2 + hashes;
    let end = rest[body..].windows(closing.len()).position(|w| w == closing);
    end.map_or(rest.len(), |end| body + end + closing.len())
}

/// The length of a character literal, or 0 for a lifetime.
fn character_bytes(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return quoted_bytes(rest, b'\'');
    }
    // The longest character is four bytes of UTF-8; a lifetime has no closing quote after its first letter.
    let letter = rest[1..].iter().skip(1).take_while(|b| **b & 0xC0 == 0x80).count() + 1;
    if rest.get(1 + letter) == Some(&b'\'') { letter + 2 } else { 0 }
}

#[test]
fn comments_strings_and_characters_are_blank_and_lines_stay() {
    let check = |text: &str, code: &str| assert_eq!(blank(text).trim_end(), code, "from {text:?}");
    check("a // tokio\nb", "a         \nb");
    check("a /* x /* y */ z */ b", "a                   b");
    check(r#"f("tokio \" x") g"#, "f(            ) g");
    check("r#\"a \" b\"# c", "           c");
    check("br\"x\\\" c", "b      c");
    check("x::<'a>('\\'', 'é', '\"') y", "x::<'a>(    ,     ,    ) y");
}

#[test]
fn a_word_is_a_whole_identifier() {
    assert!(names("use tokio::net;", "tokio"));
    assert!(!names("use tokio_util::net;", "tokio"));
    assert!(!names("let mytokio = 1;", "tokio"));
}
