//! What is printed.

use std::io::{self, Write};

use super::{Load, Round};

/// The head of the table of all measurements.
pub(super) fn head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<9} {:>6} {:>10} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8}",
        "",
        "conn",
        "offered/s",
        "unsent/s",
        "done/s",
        "p50 ms",
        "p99 ms",
        "503/s",
        "p99 ms",
        "cut",
        "RSS MiB",
        "B each"
    )
}

/// One measurement.
pub(super) fn row(out: &mut impl Write, name: &str, load: &Load) -> io::Result<()> {
    let offered = load
        .offered
        .map_or_else(|| "closed".to_owned(), |rate| format!("{rate:.0}"));
    writeln!(
        out,
        "{name:<9} {:>6} {offered:>10} {:>10.0} {:>9.0} {:>8.2} {:>8.2} {:>8.0} {:>8.2} {:>7} {:>8.0} {:>8.0}",
        load.connections,
        load.unsent,
        load.done.per_second,
        load.done.p50_ms,
        load.done.p99_ms,
        load.refused.per_second,
        load.refused.p99_ms,
        load.cut,
        load.resident_mib,
        load.bytes_each
    )?;
    out.flush()
}

/// The medians of all rounds of one server.
pub(super) fn summary(out: &mut impl Write, name: &str, rounds: &[Round]) -> io::Result<()> {
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    writeln!(
        out,
        "\n{name}, medians of {} rounds: peak {:.0} a second, goodput {:.0}",
        rounds.len(),
        of(|round| round.peak),
        of(|round| round.over.done.per_second)
    )?;
    writeln!(
        out,
        "  goodput {:.2} of the peak, {:.2} of the closed loop with all connections",
        of(|round| round.over.done.per_second / round.peak),
        of(|round| round.over.done.per_second / round.peak_of_all)
    )?;
    writeln!(
        out,
        "  p99 of what is done {:.2} ms, {:.1} times that at 0.8 of the peak; of refusals {:.2} ms",
        of(|round| round.over.done.p99_ms),
        of(|round| round.over.done.p99_ms / round.usual.done.p99_ms),
        of(|round| round.over.refused.p99_ms)
    )?;
    writeln!(
        out,
        "  memory {:.0} MiB in the end; grown by {:.0} bytes a reservation at 0.8, by {:.0} over the peak",
        of(|round| round.over.resident_mib),
        of(|round| round.usual.bytes_each),
        of(|round| round.over.bytes_each)
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
