//! Typographic characters, written as a narrow alphabet has them.
//!
//! One curly quote makes a text UCS-2: 70 characters to a segment and not 160, twice the price, for a sign that a word
//! processor put there. Whoever asks for it has such signs written plainly. That changes what a customer wrote, so it is
//! done only where it is asked for, only to signs that have a plain twin, and only if the whole text is narrow
//! afterwards: a text that stays UCS-2 keeps every sign. Letters are never touched, accents included.

use super::{Narrow, gsm7, width};

/// What is done about typographic characters; part of a carrier's profile, or of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Typography {
    /// The text goes as it was written.
    #[default]
    Kept,
    /// Signs with a plain twin are replaced if that makes the text narrow.
    Plain,
}

/// The text as it is to be planned: with its typographic characters replaced, if that makes every character one of the
/// narrow alphabet, else as it came. The replaced text is put into `scratch`.
#[must_use]
pub fn plain<'a>(text: &'a str, narrow: Narrow, scratch: &'a mut String) -> &'a str {
    let alphabet = narrow.alphabet();
    if gsm7::is_identity(text.as_bytes())
        || text.chars().all(|character| width(character, alphabet).is_some())
    {
        return text;
    }
    scratch.clear();
    for character in text.chars() {
        if width(character, alphabet).is_some() {
            scratch.push(character);
        } else {
            match twin(character) {
                Some(twin) => scratch.push_str(twin),
                None => return text,
            }
        }
    }
    scratch
}

/// The plain twin of a sign: always in GSM 7-bit and in Latin-1.
const fn twin(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{2018}'..='\u{201B}' | '\u{2032}' | '\u{2035}' | '\u{B4}' | '`' | '\u{2BC}' | '\u{2B9}' => "'",
        '\u{201C}'..='\u{201F}' | '\u{2033}' | '\u{2036}' | '\u{AB}' | '\u{BB}' => "\"",
        '\u{2039}' => "<",
        '\u{203A}' => ">",
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2043}' => "-",
        '\u{2024}' | '\u{B7}' => ".",
        '\u{2025}' => "..",
        '\u{2026}' => "...",
        '\u{2022}' | '\u{2023}' | '\u{25CF}' | '\u{25AA}' => "*",
        '\u{2044}' | '\u{2215}' => "/",
        '\u{FB00}' => "ff",
        '\u{FB01}' => "fi",
        '\u{FB02}' => "fl",
        '\u{FB03}' => "ffi",
        '\u{FB04}' => "ffl",
        // Blanks of many widths, and a tab.
        '\t' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' | '\u{85}' => "\n",
        // Hints to the line breaker, and a byte order mark, which show nothing. Joiners are not among them: they change
        // how letters and emoji look.
        '\u{AD}' | '\u{200B}' | '\u{2060}' | '\u{FEFF}' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Alphabet, Plan, Style};

    #[track_caller]
    fn check(text: &str, narrow: Narrow, expected: &str) {
        assert_eq!(plain(text, narrow, &mut "left over".to_owned()), expected, "{text:?}");
    }

    #[test]
    fn signs_become_plain_if_that_makes_the_text_narrow() {
        let gsm = Narrow::Gsm7;
        check("plain", gsm, "plain");
        check("", gsm, "");
        check("It\u{2019}s \u{201C}fine\u{201D} \u{2013} really\u{2026}", gsm, "It's \"fine\" - really...");
        check("of\u{FB01}ce\u{A0}5\u{202F}€\u{200B}", gsm, "office 5 €");
        check("\u{FEFF}caffè, naïveté", gsm, "\u{FEFF}caffè, naïveté");
        check("\u{2022} one\t\u{2022} two", gsm, "* one * two");
        check("a`b´c", gsm, "a'b'c");
        // What stays UCS-2 keeps everything.
        check("\u{201C}привет\u{201D}", gsm, "\u{201C}привет\u{201D}");
        check("thanks \u{1F642} \u{2026}", gsm, "thanks \u{1F642} \u{2026}");
        // Latin-1 has guillemets, no-break spaces and soft hyphens of its own.
        check("«oui»\u{A0}\u{2014} ç", Narrow::Latin1, "«oui»\u{A0}- ç");
        check("«oui»\u{A0}!", gsm, "\"oui\" !");
    }

    #[test]
    fn a_replaced_text_costs_a_narrow_one() {
        let text = format!("{}\u{2019}", "a".repeat(120));
        let mut scratch = String::new();
        assert_eq!(Plan::new(&text, Style::default()).map(|plan| plan.segments), Ok(2));
        let text = plain(&text, Narrow::Gsm7, &mut scratch);
        assert_eq!(Plan::new(text, Style::default()).map(|plan| (plan.segments, plan.units)), Ok((1, 121)));
    }

    #[test]
    fn every_twin_is_in_each_narrow_alphabet() {
        let twins = ('\0'..='\u{FFFF}').filter_map(twin).collect::<Vec<_>>();
        assert!(twins.len() > 60);
        for character in twins.concat().chars() {
            for alphabet in [Alphabet::Gsm7, Alphabet::Latin1] {
                assert!(width(character, alphabet).is_some(), "{character:?} in {alphabet:?}");
            }
        }
    }
}
