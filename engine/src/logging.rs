//! Where the daemon's log lines go, how they look, and which there are.
//!
//! A line has an event's name and ids, never a text of a message and never a whole number: what a line cannot say cannot
//! leak. Lines go to standard error, for people or as one JSON object each; the filter can be changed while the daemon runs.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The variable of the environment that names a filter and wins over the configuration's.
pub const FILTER_VARIABLE: &str = "SWITCHYARD_LOG";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl LogFormat {
    /// The words of a configuration and of the command line.
    pub const WORDS: [(&'static str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];

    /// The format of a word.
    ///
    /// # Errors
    /// Names the words that there are.
    pub fn parse(word: &str) -> Result<Self, String> {
        let found = Self::WORDS.iter().find(|(other, _)| *other == word).map(|(_, format)| *format);
        found.ok_or_else(|| "expected text or json".to_owned())
    }
}

/// What changes the filter of the lines that are written from now on.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Whether a text is a filter, as `info` or `warn,engine=debug`.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    EnvFilter::builder().parse(text).is_ok()
}

/// The filter in force for a configuration that says `filter`.
fn filter(filter: &str) -> EnvFilter {
    let from_environment = EnvFilter::try_from_env(FILTER_VARIABLE);
    from_environment.or_else(|_| EnvFilter::try_new(filter)).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Begins to write lines. A second call changes nothing but the filter.
pub fn start(format: LogFormat, wanted: &str) {
    let (layer, handle) = reload::Layer::new(filter(wanted));
    if FILTER.set(handle).is_err() {
        return set_filter(wanted);
    }
    let lines = fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(io::stderr().is_terminal());
    // Somebody else's subscriber, in a test, stays.
    let _ = match format {
        LogFormat::Text => Registry::default().with(layer).with(lines).try_init(),
        LogFormat::Json => {
            let lines = lines.with_ansi(false).json().flatten_event(true).with_current_span(false);
            Registry::default().with(layer).with(lines.with_span_list(false)).try_init()
        }
    };
}

/// Writes by another filter from now on, unless the environment names one.
pub fn set_filter(wanted: &str) {
    if let Some(handle) = FILTER.get() {
        // It fails only when nobody writes any more.
        let _ = handle.reload(filter(wanted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_filters_are_known_by_their_words() {
        assert_eq!(LogFormat::parse("json"), Ok(LogFormat::Json));
        assert!(LogFormat::parse("xml").is_err());
        assert!(is_filter("info") && is_filter("warn,engine=debug"));
        assert!(!is_filter("engine=loud"));
    }
}
