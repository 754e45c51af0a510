//! Reading a section key by key. A section remembers what it was asked for; what is left over at its end is refused, so
//! that a misspelt key is an error and not a default.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::value::Parsed;

/// Keys whose values are never repeated in an error.
const SECRETS: [&str; 10] = [
    "key",
    "key_hash",
    "keys",
    "password",
    "smpp_password",
    "smpp_password_hash",
    "smpp_passwords",
    // People write tokens and passwords into URLs.
    "webhook",
    "webhook_secret",
    "webhook_secrets",
];

/// How much of a wrong value an error repeats.
const SHOWN_CHARS_MAX: usize = 48;

/// The file, for lines and for what stood there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'t> {
    /// As it was named.
    pub(super) file: &'t str,
    /// All of it.
    pub(super) text: &'t str,
}

impl<'t> Source<'t> {
    /// Parses the file as TOML.
    pub(super) fn document(self) -> Result<Spanned<DeTable<'t>>, ConfigError> {
        DeTable::parse(self.text).map_err(|error| ConfigError::Syntax {
            file: self.file.to_owned(),
            line: self.line(&error.span().unwrap_or(0..0)),
            message: error.message().to_owned(),
        })
    }

    /// The line, from 1, at which a span starts.
    pub(super) fn line(self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1
    }

    fn shown(self, key: &str, span: &Range<usize>) -> String {
        if SECRETS.contains(&key) {
            return "something else (not shown, since it is a secret)".to_owned();
        }
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let line = raw.lines().next().unwrap_or_default();
        match line.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((cut, _)) => format!("{}…", &line[..cut]),
            None => line.to_owned(),
        }
    }
}

/// A value and the line it stood in, for errors about how values fit together.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    /// The line, from 1.
    pub(super) line: usize,
    /// The value.
    pub(super) value: T,
}

/// One table of the file.
#[derive(Debug)]
pub(super) struct Section<'t> {
    source: Source<'t>,
    /// As in errors: `carrier`, `classes.otp`; empty for the file itself.
    name: String,
    /// The line of its head.
    line: usize,
    /// `None`: the section is not in the file, and every key has its default.
    table: Option<&'t DeTable<'t>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'t> Section<'t> {
    /// The file itself.
    pub(super) fn root(source: Source<'t>, document: &'t Spanned<DeTable<'t>>) -> Self {
        Self {
            source,
            name: String::new(),
            line: 1,
            table: Some(document.get_ref()),
            asked: RefCell::default(),
        }
    }

    /// Whether it is in the file.
    pub(super) const fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// The line of its head, from 1.
    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// A key's value, or `None` when it is not there.
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'t>) -> Parsed<T>,
    ) -> Result<Option<T>, ConfigError> {
        Ok(self.located(key, parse)?.map(|located| located.value))
    }

    /// A key's value with its line, or `None` when it is not there.
    pub(super) fn located<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'t>) -> Parsed<T>,
    ) -> Result<Option<Located<T>>, ConfigError> {
        let Some(spanned) = self.find(key) else { return Ok(None) };
        let line = self.source.line(&spanned.span());
        match parse(spanned.get_ref()) {
            Ok(value) => Ok(Some(Located { line, value })),
            Err(expected) => Err(self.wrong(line, key, expected.0, self.source.shown(key, &spanned.span()))),
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<T>(
        &self,
        key: &'static str,
        what: &str,
        parse: impl FnOnce(&DeValue<'t>) -> Parsed<T>,
    ) -> Result<Located<T>, ConfigError> {
        match self.located(key, parse)? {
            Some(located) => Ok(located),
            None => Err(self.wrong(self.line, key, what, "nothing: the key is missing in this section")),
        }
    }

    /// The section under a key; an empty one when it is not there.
    pub(super) fn section(&self, key: &'static str) -> Result<Self, ConfigError> {
        let Some(spanned) = self.find(key) else { return Ok(self.child(key, self.line, None)) };
        let line = self.source.line(&spanned.span());
        match spanned.get_ref().as_table() {
            Some(table) => Ok(self.child(key, line, Some(table))),
            None => {
                let head = format!("a section [{}]", self.path(key));
                Err(self.wrong(line, key, head, self.source.shown(key, &spanned.span())))
            }
        }
    }

    /// The repeated sections under a key, in the order of the file.
    pub(super) fn sections(&self, key: &'static str, max: usize) -> Result<Vec<Self>, ConfigError> {
        let Some(spanned) = self.find(key) else { return Ok(Vec::new()) };
        let head = format!("1 to {max} sections [[{}]]", self.path(key));
        let line = self.source.line(&spanned.span());
        let Some(values) = spanned.get_ref().as_array() else {
            return Err(self.wrong(line, key, head, "a single value"));
        };
        if values.is_empty() || values.len() > max {
            return Err(self.wrong(line, key, head, format!("{}", values.len())));
        }
        let child = |value: &'t Spanned<DeValue<'t>>| {
            let line = self.source.line(&value.span());
            match value.get_ref().as_table() {
                Some(table) => Ok(self.child(key, line, Some(table))),
                None => Err(self.wrong(line, key, head.clone(), self.source.shown(key, &value.span()))),
            }
        };
        values.iter().map(child).collect()
    }

    /// Refuses keys that were never asked for.
    pub(super) fn end(&self) -> Result<(), ConfigError> {
        let asked = self.asked.borrow();
        let unknown = self.table.into_iter().flatten().find(|(key, _)| !asked.contains(&&**key.get_ref()));
        match unknown {
            None => Ok(()),
            Some((key, _)) => {
                let line = self.source.line(&key.span());
                let found = "a key that is not known";
                Err(self.wrong(line, key.get_ref(), format!("one of {}", asked.join(", ")), found))
            }
        }
    }

    /// An error about a key of this section.
    pub(super) fn wrong(
        &self,
        line: usize,
        key: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> ConfigError {
        ConfigError::Value {
            file: self.source.file.to_owned(),
            line,
            key: self.path(key),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn child(&self, key: &'static str, line: usize, table: Option<&'t DeTable<'t>>) -> Self {
        Self { source: self.source, name: self.path(key), line, table, asked: RefCell::default() }
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn find(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        let table = self.table?;
        table.iter().find(|(name, _)| *name.get_ref() == key).map(|(_, value)| value)
    }
}
