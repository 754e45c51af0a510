//! Golden texts: what a text becomes in each style, octet for octet.
//!
//! A block is the text (with `\n` and `\u{…}` escaped), then a line for each style: its name, alphabet, units, segments,
//! and the user data of each segment in hex. The octets were written by another program, from the tables of 3GPP TS
//! 23.038 and 23.040.

use super::*;

const FILE: &str = include_str!("../../testdata/text/texts.golden");

fn style_of(name: &str) -> Style {
    let (narrow, concatenation) = name.split_once('/').unwrap();
    let narrow = match narrow {
        "gsm7" => Narrow::Gsm7,
        "packed" => Narrow::Gsm7Packed,
        _ => Narrow::Latin1,
    };
    let concatenation = match concatenation {
        "udh8" => Concatenation::Udh8,
        "udh16" => Concatenation::Udh16,
        _ => Concatenation::Sar,
    };
    Style { narrow, concatenation }
}

/// `\n` and `\u{…}` of a golden file.
fn unescape(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix("u{") {
            let (hex, after) = after.split_once('}').unwrap();
            out.push(char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap());
            rest = after;
        } else {
            let (escaped, after) = after.split_at(1);
            out.push_str(if escaped == "n" { "\n" } else { escaped });
            rest = after;
        }
    }
    out + rest
}

#[test]
fn texts_become_the_octets_that_the_standard_has() {
    let (mut blocks, mut lines) = (0, 0);
    for block in FILE.split("\n\n") {
        let mut rows = block.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let Some(text) = rows.next() else { continue };
        let text = unescape(text.trim_matches('|'));
        blocks += 1;
        for row in rows {
            lines += 1;
            let name = row.split(' ').next().unwrap();
            let style = style_of(name);
            let plan = Plan::new(&text, style).unwrap();
            let mut found = format!("{name} {:?} {} {}", plan.alphabet, plan.units, plan.segments);
            let segments: Vec<_> = if text.is_empty() { vec![""] } else { plan.cut(&text).collect() };
            for (segment, number) in segments.into_iter().zip(1..) {
                let part = PartHeader { reference: 0x0142, total: plan.segments, number };
                let mut octets = Vec::new();
                plan.put(segment, Some(part).filter(|part| part.total > 1), &mut octets);
                found.push(' ');
                found.extend(octets.iter().map(|octet| format!("{octet:02x}")));
            }
            assert_eq!(found.trim_end(), row, "{text:?}");
        }
    }
    assert!(blocks >= 15 && lines >= 40, "{blocks} texts, {lines} lines");
}
