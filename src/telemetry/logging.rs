//! Logs: one line per event on standard error, for people or for machines.
//!
//! A message reads alone, in lowercase, without a full stop; what one searches for is a field
//! (`sku`, `reservation`, `elapsed_ms`). A failure is logged once, where it is handled. No secrets,
//! no customers.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LoggingError::Format(other.to_owned())),
        }
    }
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The format has an unknown name.
    #[error("unknown log format `{0}`; expected auto, text or json")]
    Format(String),
    /// The filter cannot be parsed.
    #[error("bad log filter `{filter}`: {reason}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else has taken the process's log already.
    #[error("logging was started twice")]
    Taken,
}

/// Checks a filter such as `info` or `warn,holdfast::http=debug`.
pub fn check_filter(filter: &str) -> Result<(), LoggingError> {
    parse_filter(filter).map(drop)
}

/// Starts logging to standard error for the whole process. A line that cannot be written is lost: whoever
/// serves goes on without a reader and on a full disk.
pub fn start(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let filter = parse_filter(filter)?;
    let taken = |_already| LoggingError::Taken;
    if json {
        let subscriber = json_lines(filter, std::io::stderr);
        tracing::subscriber::set_global_default(subscriber).map_err(taken)
    } else {
        let subscriber = text_lines(filter, terminal, std::io::stderr);
        tracing::subscriber::set_global_default(subscriber).map_err(taken)
    }
}

fn parse_filter(filter: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|e| LoggingError::Filter {
            filter: filter.to_owned(),
            reason: e.to_string(),
        })
}

fn json_lines<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .log_internal_errors(false)
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

fn text_lines<W>(filter: EnvFilter, color: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .compact()
        .log_internal_errors(false)
        .with_ansi(color)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn json_lines_carry_level_time_message_and_fields() {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = json_lines(parse_filter("info").unwrap(), move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(elapsed_ms = 12, "ledger opened");
            tracing::debug!("not at this level");
        });
        let text = captured.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "ledger opened");
        assert_eq!(line["elapsed_ms"], 12);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn text_lines_have_no_colors_unless_asked() {
        let captured = Captured::default();
        let writer = captured.clone();
        let filter = parse_filter("warn").unwrap();
        let subscriber = text_lines(filter, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || tracing::warn!(sku = "a-1", "low"));
        let text = captured.text();
        assert!(
            text.contains("WARN") && text.contains("sku=\"a-1\""),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_bad_filter_or_format_says_what_is_wrong() {
        let error = check_filter("holdfast=loud").unwrap_err().to_string();
        assert!(error.contains("holdfast=loud"), "{error}");
        let error = LogFormat::from_str("xml").unwrap_err().to_string();
        assert!(error.contains("xml") && error.contains("json"), "{error}");
        assert_eq!("auto".parse::<LogFormat>().unwrap(), LogFormat::Auto);
    }
}
