//! The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038 §6.2.1).
//!
//! A character of the extension costs two septets: an escape and a code.

/// Starts an extension pair.
pub(super) const ESCAPE: u8 = 0x1B;

/// The characters of codes 0x00 to 0x7F. The escape stands for a no-break space, as §6.2.1 lets one show it.
const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{A0}', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// How a character is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    One(u8),
    /// After [`ESCAPE`].
    Two(u8),
    /// It is not in the alphabet.
    Missing,
}

/// The codes of Latin-1's characters, from the tables above: texts look here for nearly all of theirs.
const CODES: [Code; 256] = {
    let mut codes = [Code::Missing; 256];
    let mut code = 0;
    while code < 128_u8 {
        let character = DEFAULT[code as usize] as u32;
        if character < 256 && code != ESCAPE {
            codes[character as usize] = Code::One(code);
        }
        code += 1;
    }
    let mut at = 0;
    while at < EXTENSION.len() {
        let (code, character) = EXTENSION[at];
        if (character as u32) < 256 {
            codes[character as usize] = Code::Two(code);
        }
        at += 1;
    }
    codes
};

#[inline]
pub(super) fn code(character: char) -> Code {
    match CODES.get(character as usize) {
        Some(code) => *code,
        None if character == '€' => Code::Two(0x65),
        // Ten Greek capitals.
        None => match (0x10..0x1B_u8).find(|code| DEFAULT[usize::from(*code)] == character) {
            Some(code) => Code::One(code),
            None => Code::Missing,
        },
    }
}

/// Whether every octet of an ASCII text is its own code. The ranges are those of [`DEFAULT`]; written out, so that the
/// compiler looks at sixteen octets at a time.
#[inline]
pub(super) fn is_identity(text: &[u8]) -> bool {
    text.iter().fold(true, |all, byte| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let sign = byte.wrapping_sub(b' ') < 32 && *byte != b'$';
        all & (letter | sign | (*byte == b'\n') | (*byte == b'\r'))
    })
}

/// Appends the codes of `text`, one to an octet. A character that is missing becomes `?`.
pub(super) fn put(text: &str, out: &mut Vec<u8>) {
    // Room for two codes to an octet of UTF-8, so that the loop only writes.
    let mut end = out.len();
    out.resize(end + text.len() * 2, 0);
    for character in text.chars() {
        match code(character) {
            Code::One(code) => {
                out[end] = code;
                end += 1;
            }
            Code::Two(code) => {
                out[end..end + 2].copy_from_slice(&[ESCAPE, code]);
                end += 2;
            }
            Code::Missing => {
                out[end] = b'?';
                end += 1;
            }
        }
    }
    out.truncate(end);
}

/// Appends what codes, one to an octet, say. The top bit is not looked at; a code that is in no table is shown as the
/// one of the default alphabet, as §6.2.1.1 asks.
pub(super) fn read(codes: &[u8], out: &mut String) {
    let mut escaped = false;
    for code in codes.iter().map(|code| code & 0x7F) {
        let extension = EXTENSION.iter().find(|(extension, _)| escaped && *extension == code);
        match extension {
            Some((_, character)) => out.push(*character),
            None if code == ESCAPE && !escaped => {
                escaped = true;
                continue;
            }
            None => out.push(DEFAULT[usize::from(code)]),
        }
        escaped = false;
    }
    if escaped {
        out.push(DEFAULT[usize::from(ESCAPE)]);
    }
}

/// Where codes, one to an octet, first say something that is in no table: a top bit, an escape before nothing or before
/// what the extension does not have.
pub(super) fn first_unknown(codes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < codes.len() {
        match codes[at] {
            ESCAPE => {
                let is_known = |code: &u8| EXTENSION.iter().any(|(extension, _)| extension == code);
                if !codes.get(at + 1).is_some_and(is_known) {
                    return Some(at);
                }
                at += 2;
            }
            0x80.. => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Packs the codes from `start` on into seven bits each, in place, least significant bits first (3GPP TS 23.038
/// §6.1.2.1), after `fill_bits` zero bits (0 to 6) that bring the first to a septet's border behind a user data header.
pub(super) fn pack(out: &mut Vec<u8>, start: usize, fill_bits: u32) {
    let (mut bits, mut count) = (0_u32, fill_bits);
    // An octet is written after the code of the same index, or a later one, has been read.
    let mut end = start;
    for at in start..out.len() {
        bits |= u32::from(out[at] & 0x7F) << count;
        count += 7;
        if count >= 8 {
            out[end] = bits.to_le_bytes()[0];
            end += 1;
            bits >>= 8;
            count -= 8;
        }
    }
    out.truncate(end);
    if count > 0 {
        out.push(bits.to_le_bytes()[0]);
    }
}

/// Appends the codes that are packed in `octets` behind `fill_bits`. Nothing says how many there are: seven zero bits at the
/// end could be an `@`, and are taken for what is left of the last octet.
pub(super) fn unpack(octets: &[u8], fill_bits: u32, out: &mut Vec<u8>) {
    let (mut bits, mut count, mut skip, mut last) = (0_u32, 0, fill_bits, 0);
    for octet in octets {
        bits |= u32::from(*octet) << count;
        count += 8;
        if skip > 0 {
            bits >>= skip;
            count -= skip;
            skip = 0;
        }
        while count >= 7 {
            last = bits.to_le_bytes()[0] & 0x7F;
            out.push(last);
            bits >>= 7;
            count -= 7;
        }
    }
    if count == 0 && last == 0 && !octets.is_empty() {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_the_alphabet_is_read_back() {
        let mut text: String = DEFAULT.iter().filter(|character| **character != '\u{A0}').collect();
        text.extend(EXTENSION.iter().map(|(_, character)| character));
        let (mut codes, mut back) = (Vec::new(), String::new());
        put(&text, &mut codes);
        assert_eq!(codes.len(), 127 + 20);
        read(&codes, &mut back);
        assert_eq!(back, text);
    }

    #[test]
    fn identity_is_what_the_tables_say() {
        for byte in 0..=127_u8 {
            assert_eq!(is_identity(&[byte]), code(char::from(byte)) == Code::One(byte), "{byte}");
        }
        assert!(!is_identity("é".as_bytes()));
    }

    #[test]
    fn the_standards_example_packs() {
        // The best-known example of septets: "hellohello" is E8329BFD4697D9EC37.
        let mut packed = b"hellohello".to_vec();
        pack(&mut packed, 0, 0);
        assert_eq!(packed, [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
        for fill in 0..7 {
            for length in 0..20 {
                let codes: Vec<u8> = (1..=length).collect();
                let (mut packed, mut back) = (codes.clone(), Vec::new());
                pack(&mut packed, 0, fill);
                unpack(&packed, fill, &mut back);
                assert_eq!(back, codes);
            }
        }
    }

    #[test]
    fn a_lost_escape_shows_something_and_ends() {
        let mut text = String::new();
        read(&[0x1B, 0x41, 0x1B], &mut text);
        assert_eq!(text, "A\u{A0}");
    }
}
