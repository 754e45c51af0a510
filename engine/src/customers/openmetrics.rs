//! Metrics as OpenMetrics 1.0 text, which is what `GET /metrics` answers.
//!
//! The caller brings samples in any order; those of one family are written together under one `HELP` and `TYPE`, as the
//! format demands. A counter's sample has the suffix `_total`, which the caller leaves out.

use std::fmt::Write as _;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A time that only grows: counted in microseconds, told in seconds.
    CounterUs,
    /// A time that goes up and down, or one since 1970: counted in milliseconds, told in seconds.
    GaugeMs,
    /// One bucket of a histogram, with those below it; its label `le` is its bound.
    Bucket,
    /// All that a histogram has seen together: counted in microseconds, told in seconds.
    SumUs,
    /// How much a histogram has seen.
    Count,
}

impl SampleKind {
    /// The word for its family.
    const fn family(self) -> &'static str {
        match self {
            Self::Counter | Self::CounterUs => "counter",
            Self::Gauge | Self::GaugeMs => "gauge",
            Self::Bucket | Self::SumUs | Self::Count => "histogram",
        }
    }

    /// What its sample's name has behind the family's.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Counter | Self::CounterUs => "_total",
            Self::Gauge | Self::GaugeMs => "",
            Self::Bucket => "_bucket",
            Self::SumUs => "_sum",
            Self::Count => "_count",
        }
    }
}

/// One number with its name.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The family, as `switchyard_messages`: no `_total`.
    pub name: &'a str,
    /// What it is, in a few words.
    pub help: &'a str,
    /// How it behaves.
    pub kind: SampleKind,
    /// Label names and values.
    pub labels: &'a [(&'a str, &'a str)],
    /// The number.
    pub value: u64,
}

/// Appends all samples and the end mark.
pub fn render(samples: &[Sample<'_>], out: &mut String) {
    let mut order: Vec<&Sample<'_>> = samples.iter().collect();
    order.sort_by_key(|sample| sample.name);
    let mut family = "";
    for sample in order {
        if sample.name != family {
            family = sample.name;
            put_line(out, format_args!("# TYPE {family} {}", sample.kind.family()));
            put_line(out, format_args!("# HELP {family} {}", Escaped(sample.help)));
        }
        out.push_str(sample.name);
        out.push_str(sample.kind.suffix());
        put_labels(sample.labels, out);
        match sample.kind {
            SampleKind::CounterUs | SampleKind::SumUs => {
                put_line(out, format_args!(" {}", seconds(sample.value, 6)))
            }
            SampleKind::GaugeMs => put_line(out, format_args!(" {}", seconds(sample.value, 3))),
            _ => put_line(out, format_args!(" {}", sample.value)),
        }
    }
    out.push_str("# EOF\n");
}

/// A whole number of parts of a second as seconds, exactly: `places` digits stand behind the point at most.
pub fn seconds(parts: u64, places: u32) -> String {
    let unit = 10_u64.pow(places);
    let (whole, rest) = (parts / unit, parts % unit);
    if rest == 0 {
        return format!("{whole}.0");
    }
    let width = usize::try_from(places).unwrap_or_default();
    format!("{whole}.{rest:0width$}").trim_end_matches('0').to_owned()
}

fn put_labels(labels: &[(&str, &str)], out: &mut String) {
    for (index, (name, value)) in labels.iter().enumerate() {
        let before = if index == 0 { '{' } else { ',' };
        write!(out, "{before}{name}=\"{}\"", Escaped(value)).expect("a String takes all");
    }
    if !labels.is_empty() {
        out.push('}');
    }
}

fn put_line(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("a String takes all");
}

/// Backslash, quote and line feed as OpenMetrics wants them.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_buckets_a_sum_in_seconds_and_a_count() {
        let part =
            |kind, labels, value| Sample { name: "sy_sync_seconds", help: "syncs", kind, labels, value };
        let mut out = String::new();
        let samples = [
            part(SampleKind::Bucket, &[("le", "0.1")][..], 2),
            part(SampleKind::Bucket, &[("le", "+Inf")][..], 3),
            part(SampleKind::SumUs, &[][..], 1_250_000),
            part(SampleKind::Count, &[][..], 3),
        ];
        render(&samples, &mut out);
        assert_eq!(
            out,
            "# TYPE sy_sync_seconds histogram\n# HELP sy_sync_seconds syncs\nsy_sync_seconds_bucket{le=\"0.1\"} 2\n\
             sy_sync_seconds_bucket{le=\"+Inf\"} 3\nsy_sync_seconds_sum 1.25\nsy_sync_seconds_count 3\n# EOF\n"
        );
        assert_eq!(
            (seconds(0, 6), seconds(50, 6), seconds(12_000, 3)),
            ("0.0".into(), "0.00005".into(), "12.0".into())
        );
    }

    #[test]
    fn families_stand_together_and_the_end_is_marked() {
        let sample = |name, kind, labels, value| Sample { name, help: "a \"help\"", kind, labels, value };
        let shard_0 = [("shard", "0")];
        let shard_1 = [("shard", "1"), ("carrier", "a\\b")];
        let mut out = String::new();
        render(
            &[
                sample("sy_messages", SampleKind::Counter, &shard_0, 7),
                sample("sy_open", SampleKind::Gauge, &[], 3),
                sample("sy_messages", SampleKind::Counter, &shard_1, 8),
            ],
            &mut out,
        );
        assert_eq!(
            out,
            "# TYPE sy_messages counter\n# HELP sy_messages a \\\"help\\\"\nsy_messages_total{shard=\"0\"} 7\n\
             sy_messages_total{shard=\"1\",carrier=\"a\\\\b\"} 8\n# TYPE sy_open gauge\n\
             # HELP sy_open a \\\"help\\\"\nsy_open 3\n# EOF\n"
        );
    }
}
