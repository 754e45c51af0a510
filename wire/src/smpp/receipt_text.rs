//! The text of a receipt (SMPP 3.4 Appendix B), as carriers write it.
//!
//! Read as words, of which some have a colon: before it stands a key, after it, or in the next word, its value. So dates
//! may have seconds or be empty, keys may be left out, added, or in any case, and a blank may follow the colon. `text`
//! ends it: what comes after is the customer's, and may say anything.

use super::state::MessageState;

/// What the text of a receipt says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TextFields<'a> {
    /// After `id:`.
    pub(super) id: Option<&'a [u8]>,
    /// After `stat:`.
    pub(super) state: Option<MessageState>,
    /// After `err:`, unless it is nothing but zeros.
    pub(super) error: Option<&'a [u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Id,
    State,
    Error,
    Text,
    Other,
}

impl Key {
    fn of(word: &[u8]) -> Self {
        match word {
            b"id" => Self::Id,
            b"stat" => Self::State,
            b"err" => Self::Error,
            _ if word.eq_ignore_ascii_case(b"id") => Self::Id,
            _ if word.eq_ignore_ascii_case(b"stat") || word.eq_ignore_ascii_case(b"status") => Self::State,
            _ if word.eq_ignore_ascii_case(b"err") || word.eq_ignore_ascii_case(b"error") => Self::Error,
            _ if word.eq_ignore_ascii_case(b"text") => Self::Text,
            _ => Self::Other,
        }
    }
}

impl<'a> TextFields<'a> {
    /// Reads up to the customer's text.
    #[must_use]
    pub(super) fn read(text: &'a [u8]) -> Self {
        Self::read_as_printed(text).unwrap_or_else(|| Self::read_words(text))
    }

    /// Exactly the line of Appendix B, which most carriers write: a fifth of the time of [`Self::read_words`], which
    /// finds the same in it. `None` when it is anything else.
    pub(super) fn read_as_printed(text: &'a [u8]) -> Option<Self> {
        let rest = text.strip_prefix(b"id:")?;
        let (id, rest) = split_word(rest);
        let rest = rest.strip_prefix(b" sub:")?.get(3..)?.strip_prefix(b" dlvrd:")?.get(3..)?;
        let rest = skip_date(rest.strip_prefix(b" submit date:")?)?.strip_prefix(b" done date:")?;
        let (word, rest) = skip_date(rest)?.strip_prefix(b" stat:")?.split_first_chunk::<7>()?;
        let (error, rest) = split_word(rest.strip_prefix(b" err:")?);
        let is_plain = |word: &[u8]| !word.iter().any(|byte| *byte == b':' || is_between_words(*byte));
        let ends = rest.is_empty() || rest.starts_with(b" text:") || rest.starts_with(b" Text:");
        if !ends || id.is_empty() || error.is_empty() || !is_plain(id) || !is_plain(error) || !is_plain(word)
        {
            return None;
        }
        let mut found = Self { id: Some(id), state: Some(MessageState::from_word(word)), error: None };
        found.set(Key::Error, error);
        Some(found)
    }

    pub(super) fn read_words(text: &'a [u8]) -> Self {
        let mut found = Self::default();
        // A key whose value was empty: the next word is its value, unless that has a key of its own.
        let mut open = None;
        for word in text.split(|byte| is_between_words(*byte)).filter(|word| !word.is_empty()) {
            let mut rest = word;
            while let Some((key, value)) = split_at_colon(rest) {
                if key == Key::Text {
                    return found;
                }
                open = value.is_empty().then_some(key);
                // `date:stat:DELIVRD` is an empty date and a state; `id:a:b` is an id with a colon.
                match split_at_colon(value) {
                    Some((inner, _)) if inner != Key::Other => rest = value,
                    _ => {
                        found.set(key, value);
                        rest = &[];
                    }
                }
            }
            if let Some(key) = open.take_if(|_| !rest.is_empty()) {
                found.set(key, rest);
            }
        }
        found
    }

    fn set(&mut self, key: Key, value: &'a [u8]) {
        if value.is_empty() {
            return;
        }
        match key {
            Key::Id => self.id = self.id.or(Some(value)),
            Key::State => self.state = self.state.or_else(|| Some(MessageState::from_word(value))),
            Key::Error => self.error = Some(value).filter(|value| value.iter().any(|byte| *byte != b'0')),
            Key::Text | Key::Other => {}
        }
    }
}

/// What stands before the first blank, and the rest from the blank on.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| *byte == b' ').unwrap_or(text.len()))
}

/// What follows a date of ten digits, or of twelve, with seconds.
fn skip_date(text: &[u8]) -> Option<&[u8]> {
    let bytes = if text.get(10) == Some(&b' ') { 10 } else { 12 };
    let (date, rest) = text.split_at_checked(bytes)?;
    date.iter().all(u8::is_ascii_digit).then_some(rest)
}

fn split_at_colon(word: &[u8]) -> Option<(Key, &[u8])> {
    let colon = word.iter().position(|byte| *byte == b':')?;
    Some((Key::of(&word[..colon]), &word[colon + 1..]))
}

const fn is_between_words(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | b',' | b';')
}
