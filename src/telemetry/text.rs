//! The Prometheus text format, version 0.0.4.

use std::fmt::{self, Write};
use std::time::Duration;

use super::cells::HistogramSnapshot;

/// Content type of [`super::Meters::render`].
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of a metric family.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Unit of a histogram's integers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    /// Nanoseconds, shown in seconds.
    Nanos,
    /// Pieces, shown as they are.
    Pieces,
}

impl Scale {
    fn show(self, value: u64) -> Number {
        match self {
            Self::Nanos => Number::Seconds(Duration::from_nanos(value).as_secs_f64()),
            Self::Pieces => Number::Whole(value),
        }
    }
}

enum Number {
    Seconds(f64),
    Whole(u64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(f, "{seconds}"),
            Self::Whole(whole) => write!(f, "{whole}"),
        }
    }
}

/// Labels of one series, in order.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page under construction. Families are written one after the other.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Opens a family: everything until the next one belongs to it.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One series of a counter or a gauge.
    pub(super) fn value(&mut self, name: &str, labels: Labels<'_>, value: u64) {
        self.line(format_args!("{name}{} {value}", Braces(labels, None)));
    }

    /// One series of a gauge in seconds.
    pub(super) fn seconds(&mut self, name: &str, labels: Labels<'_>, value: Duration) {
        self.line(format_args!(
            "{name}{} {}",
            Braces(labels, None),
            value.as_secs_f64()
        ));
    }

    /// One series of a histogram.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: Labels<'_>,
        scale: Scale,
        snapshot: &HistogramSnapshot,
    ) {
        for (bound, count) in &snapshot.cumulative {
            let le = scale.show(*bound).to_string();
            self.line(format_args!(
                "{name}_bucket{} {count}",
                Braces(labels, Some(&le))
            ));
        }
        let count = snapshot.count;
        self.line(format_args!(
            "{name}_bucket{} {count}",
            Braces(labels, Some("+Inf"))
        ));
        let plain = Braces(labels, None);
        self.line(format_args!(
            "{name}_sum{plain} {}",
            scale.show(snapshot.sum)
        ));
        self.line(format_args!("{name}_count{plain} {count}"));
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        if self.0.write_fmt(text).is_ok() {
            self.0.push('\n');
        }
    }
}

/// `{a="x",le="1"}`, or nothing without labels.
struct Braces<'a>(Labels<'a>, Option<&'a str>);

impl fmt::Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let le = self.1.map(|le| ("le", le));
        let mut open = '{';
        for (name, value) in self.0.iter().copied().chain(le) {
            write!(f, "{open}{name}=\"")?;
            for character in value.chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    other => f.write_char(other)?,
                }
            }
            f.write_char('"')?;
            open = ',';
        }
        if open == ',' {
            f.write_char('}')
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::cells::Histogram;

    #[test]
    fn label_values_are_escaped() {
        let mut page = Page::default();
        page.value("m", &[("a", "x\"y\\z\n")], 1);
        assert_eq!(page.finish(), "m{a=\"x\\\"y\\\\z\\n\"} 1\n");
    }

    #[test]
    fn durations_are_shown_in_seconds_without_exponents() {
        let histogram = Histogram::new(&[1_000, 2_500_000]);
        histogram.record(1_000);
        histogram.record(3_000_000_000);
        let mut page = Page::default();
        page.histogram(
            "t_seconds",
            &[("kind", "shard")],
            Scale::Nanos,
            &histogram.snapshot(),
        );
        assert_eq!(
            page.finish(),
            "t_seconds_bucket{kind=\"shard\",le=\"0.000001\"} 1\n\
             t_seconds_bucket{kind=\"shard\",le=\"0.0025\"} 1\n\
             t_seconds_bucket{kind=\"shard\",le=\"+Inf\"} 2\n\
             t_seconds_sum{kind=\"shard\"} 3.000001\n\
             t_seconds_count{kind=\"shard\"} 2\n"
        );
    }
}
