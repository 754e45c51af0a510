//! From one TOML value to one typed value, or to what was expected instead. Pure leaves: no keys, no lines.

use core::time::Duration;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::DeValue;

use super::limits;

/// What may stand where something else stood.
#[derive(Debug)]
pub(super) struct Expected(pub(super) String);

/// A value or what was expected.
pub(super) type Parsed<T> = Result<T, Expected>;

fn expected<T>(what: impl Into<String>) -> Parsed<T> {
    Err(Expected(what.into()))
}

/// Any text.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Parsed<&'v str> {
    value.as_str().map_or_else(|| expected("a text in quotes"), Ok)
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Parsed<bool> {
    value.as_bool().map_or_else(|| expected("true or false"), Ok)
}

/// A file, by its path.
pub(super) fn path(value: &DeValue<'_>) -> Parsed<PathBuf> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(PathBuf::from(text)),
        _ => expected("the path of a file"),
    }
}

/// A whole number within bounds, both included.
pub(super) fn whole(value: &DeValue<'_>, range: RangeInclusive<u64>) -> Parsed<u64> {
    let number = value.as_integer().and_then(|digits| {
        // A minus cannot be parsed into a u64, which is what is wanted.
        u64::from_str_radix(digits.as_str(), digits.radix()).ok()
    });
    match number {
        Some(number) if range.contains(&number) => Ok(number),
        _ => expected(format!("a whole number from {} to {}", range.start(), range.end())),
    }
}

/// A whole number within bounds that fits into 16 bits.
pub(super) fn whole_u16(value: &DeValue<'_>, range: RangeInclusive<u16>) -> Parsed<u16> {
    let wide = u64::from(*range.start())..=u64::from(*range.end());
    whole(value, wide).map(|number| u16::try_from(number).expect("its bounds have 16 bits"))
}

/// A whole number that fits into an octet.
pub(super) fn octet(value: &DeValue<'_>) -> Parsed<u8> {
    whole(value, 0..=255).map(|octet| u8::try_from(octet).expect("its bounds have 8 bits"))
}

/// Octets in hexadecimal, with blanks between them or none.
pub(super) fn hex(value: &DeValue<'_>, bytes_max: usize) -> Parsed<Vec<u8>> {
    let read = |text: &str| {
        let digits: Vec<u32> =
            text.chars().filter(|char| *char != ' ').map(|char| char.to_digit(16)).collect::<Option<_>>()?;
        let whole = digits.len().is_multiple_of(2) && digits.len() <= 2 * bytes_max;
        let octets = digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap_or(0));
        whole.then(|| octets.collect())
    };
    value.as_str().and_then(read).map_or_else(
        || expected(format!("at most {bytes_max} octets in hexadecimal, as \"1403 0002 0001\"")),
        Ok,
    )
}

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub(super) fn duration(value: &DeValue<'_>, range: RangeInclusive<Duration>) -> Parsed<Duration> {
    match value.as_str().and_then(parse_duration) {
        Some(duration) if range.contains(&duration) => Ok(duration),
        _ => expected(format!(
            "a duration from \"{}\" to \"{}\", written as \"500ms\", \"60s\", \"5m\", \"12h\" or \"7d\"",
            show_duration(*range.start()),
            show_duration(*range.end()),
        )),
    }
}

/// A duration as the file has it.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|char: char| !char.is_ascii_digit())?;
    let (count, unit) = text.split_at(unit_at);
    let count: u64 = count.parse().ok()?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(unit_ms).map(Duration::from_millis)
}

/// The shortest spelling of a duration of whole milliseconds, with several units only where one will not do: `12h5m`.
pub(crate) fn show_duration(duration: Duration) -> String {
    let mut ms = duration.as_millis();
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut shown = String::new();
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")] {
        let count = ms / unit_ms;
        if count > 0 {
            shown += &format!("{count}{unit}");
        }
        ms %= unit_ms;
    }
    shown
}

/// An address to listen on.
pub(super) fn socket(value: &DeValue<'_>) -> Parsed<SocketAddr> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .map_or_else(|| expected("an IP address and a port, as \"127.0.0.1:8080\" or \"[::1]:8080\""), Ok)
}

/// A name: a label of metrics, and part of hand-shakes and ids.
pub(super) fn name(value: &DeValue<'_>) -> Parsed<String> {
    match value.as_str() {
        Some(name) if is_name(name) => Ok(name.to_owned()),
        _ => expected(format!("a name of 1 to {} letters, digits, '-', '_' or '.'", limits::NAME_BYTES_MAX)),
    }
}

/// Whether a text can be a name.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    (1..=limits::NAME_BYTES_MAX).contains(&text.len()) && text.chars().all(fits)
}

/// A text of visible ASCII (and no space) within bounds of length.
pub(super) fn visible(value: &DeValue<'_>, bytes: RangeInclusive<usize>) -> Parsed<String> {
    match value.as_str() {
        Some(text) if bytes.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(text.to_owned())
        }
        _ => expected(format!("{} to {} characters of ASCII without spaces", bytes.start(), bytes.end())),
    }
}

/// One of some words.
pub(super) fn word<T>(value: &DeValue<'_>, words: &[(&str, T)]) -> Parsed<T>
where
    T: Copy,
{
    let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
    found.map_or_else(
        || {
            let list: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            expected(format!("one of {}", list.join(", ")))
        },
        |&(_, meaning)| Ok(meaning),
    )
}

/// A list of at least one value, each read by `each`.
pub(super) fn list<T>(
    value: &DeValue<'_>,
    what: &str,
    each: impl Fn(&DeValue<'_>) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    match value.as_array() {
        Some(values) if !values.is_empty() => values.iter().map(|value| each(value.get_ref())).collect(),
        _ => expected(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown_in_the_same_words() {
        for text in ["500ms", "1s", "45s", "5m", "12h", "7d", "0s"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration), "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(300)), "5m");
        assert_eq!(show_duration(Duration::from_millis(43_500_500)), "12h5m500ms");
        for wrong in ["", "5", "m", "5 m", "-5m", "5min", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
