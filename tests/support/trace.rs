//! What strace wrote: system calls with the moments at which they began and ended.

/// Seconds since the epoch, as strace prints them.
pub(crate) type Moment = f64;

/// A system call that has ended.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The first argument: of most calls the number of a file, with its path where the trace has it.
    pub(crate) file: String,
    /// All arguments.
    pub(crate) text: String,
    pub(crate) begun: Moment,
    pub(crate) ended: Moment,
    pub(crate) has_failed: bool,
    /// The tracer made it fail.
    pub(crate) is_injected: bool,
}

/// How long it took by the tracer's account, at the end of a line.
fn took(line: &str) -> Option<Moment> {
    line.rsplit_once('<')?.1.strip_suffix('>')?.parse().ok()
}

/// The calls of a trace, in the order in which they began. One that another thread interrupted stands
/// in two lines.
pub(crate) fn calls(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut open: Vec<(&str, Call)> = Vec::new();
    for line in trace.lines() {
        let mut parts = line.split_whitespace();
        let (Some(thread), Some(time)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (Some((_, rest)), Ok(time)) = (line.split_once(time), time.parse::<Moment>()) else {
            continue;
        };
        let rest = rest.trim_start();
        let has_failed = rest.contains(") = -1 ");
        let is_injected = rest.contains("(INJECTED)");
        if rest.starts_with("<...") {
            if let Some(at) = open.iter().position(|(of, _)| *of == thread) {
                let (_, call) = open.remove(at);
                calls.push(Call {
                    ended: time,
                    has_failed,
                    is_injected,
                    ..call
                });
            }
            continue;
        }
        let Some((name, arguments)) = rest.split_once('(') else {
            continue;
        };
        let file = arguments.split([',', ')', ' ']).next().unwrap_or_default();
        let call = Call {
            name: name.to_owned(),
            file: file.to_owned(),
            text: arguments.to_owned(),
            begun: time,
            ended: time + took(rest).unwrap_or_default(),
            has_failed,
            is_injected,
        };
        if rest.ends_with("<unfinished ...>") {
            open.push((thread, call));
        } else {
            calls.push(call);
        }
    }
    calls.sort_by(|one, other| one.begun.total_cmp(&other.begun));
    calls
}
