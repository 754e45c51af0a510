//! Golden bytes of formats: what is on disks already, in `testdata/`, as hexadecimal text.

use std::fmt::Write;
use std::path::Path;

/// Compares `now` with the golden file of this name, and returns the file's bytes. With `WRITE_GOLDEN` set in the
/// environment the file is written first, which is how a new version of a layout gets its own.
pub(crate) fn check(name: &str, now: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/{name}.hex"));
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(&path, hex(now)).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        golden,
        hex(now),
        "{name}: a layout that was released never changes; make a new version instead"
    );
    bytes(&golden)
}

/// The bytes of a golden file.
pub(crate) fn bytes(golden: &str) -> Vec<u8> {
    golden.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Sixteen bytes a line.
fn hex(bytes: &[u8]) -> String {
    bytes.chunks(16).fold(String::new(), |mut text, line| {
        for (place, byte) in line.iter().enumerate() {
            write!(text, "{}{byte:02x}", if place == 0 { "" } else { " " }).unwrap();
        }
        text + "\n"
    })
}
