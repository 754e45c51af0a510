//! Fuzz targets: every decoder, the texts, the profiles, and the session by sequences of operations. They run on stable as
//! ordinary tests for a bounded number of inputs, and for as long as one likes with `tests/fuzz MINUTES [TARGET…]`.
//!
//! A failure prints its input and its seed; `BOLERO_RANDOM_SEED` repeats it. Inputs of the decoders are golden PDUs and receipts with
//! a few octets changed, since octets by chance hardly get behind a header.

#[path = "fuzz/codecs.rs"]
mod codecs;
#[path = "fuzz/session.rs"]
mod session;

/// What was found, or is rare, as inputs that every run begins with.
const GOLDEN_PDUS: &str = include_str!("../testdata/smpp/pdus.golden");
const GOLDEN_RECEIPTS: &str = include_str!("../testdata/smpp/receipts.golden");

/// One change of an input: where, what, and with which octet.
pub(crate) type Change = (u16, u8, u8);

/// The golden PDUs.
fn pdus() -> Vec<Vec<u8>> {
    let is_hex = |line: &&str| line.len() >= 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pdus: Vec<_> = GOLDEN_PDUS.lines().filter(is_hex).map(unhex).collect();
    assert!(pdus.len() > 20, "the golden file has PDUs");
    pdus
}

/// The texts of the golden receipts.
fn receipts() -> Vec<Vec<u8>> {
    let texts = GOLDEN_RECEIPTS.lines().filter_map(|line| line.strip_prefix("text "));
    let texts: Vec<_> = texts.map(|text| text.as_bytes().to_vec()).collect();
    assert!(texts.len() > 10, "the golden file has receipts");
    texts
}

fn unhex(hex: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
    (0..hex.len() - 1).step_by(2).map(octet).collect()
}

/// Changes an input: octets are set, put in, taken out, doubled; or the end is cut off.
fn bend(octets: &mut Vec<u8>, changes: &[Change]) {
    for &(at, what, octet) in changes {
        let at = usize::from(at) % (octets.len() + 1);
        match what % 8 {
            0 => octets.truncate(at),
            1 => octets.insert(at, octet),
            2 if at < octets.len() => {
                octets.remove(at);
            }
            3 => {
                let end = octets.len().min(at + usize::from(octet));
                let again = octets[at..end].to_vec();
                octets.splice(at..at, again);
            }
            _ if at < octets.len() => octets[at] = octet,
            _ => octets.push(octet),
        }
    }
}
