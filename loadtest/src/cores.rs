//! Which cores a thread may use, and with it all threads and processes that it starts.

use std::str::FromStr;
use std::thread::scope;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Failure;

/// Some cores of the machine, written like `0,1` or `2-3`.
#[derive(Debug, Clone)]
pub(crate) struct Cores(CpuSet);

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut cores = CpuSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |word: &str| {
                let number = word.parse().ok().filter(|core| *core < CpuSet::MAX_CPU);
                number.ok_or_else(|| format!("`{word}` is no core"))
            };
            for core in number(first)?..=number(last)? {
                cores.set(core);
            }
        }
        Ok(Self(cores))
    }
}

impl Cores {
    /// Keeps this thread on them.
    pub(crate) fn take(&self) -> Result<(), Failure> {
        sched_setaffinity(None, &self.0).map_err(|error| format!("the cores: {error}").into())
    }
}

/// Does something on these cores; what it starts stays there.
pub(crate) fn on<T: Send>(
    cores: Option<&Cores>,
    what: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let pinned = || {
        cores.map_or(Ok(()), Cores::take)?;
        what()
    };
    let done = scope(|scope| scope.spawn(pinned).join());
    done.unwrap_or_else(|_| Err("what ran on chosen cores died".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::sched_getaffinity;

    #[test]
    fn cores_are_read_as_taskset_reads_them() {
        let set = |text: &str| {
            let Cores(cores) = text.parse().unwrap();
            let is_in = |core: &usize| cores.is_set(*core);
            (0..CpuSet::MAX_CPU).filter(is_in).collect::<Vec<_>>()
        };
        assert_eq!(set("0,2"), [0, 2]);
        assert_eq!(set("1-3,7"), [1, 2, 3, 7]);
        for wrong in ["", "x", "0,", "1-", "1024"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_done_on_cores_leaves_the_caller_where_it_was() {
        let all = sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core));
        let one: Cores = first.unwrap().to_string().parse().unwrap();
        let seen = on(Some(&one), || Ok(sched_getaffinity(None)?)).unwrap();
        assert_eq!(seen.count(), 1);
        assert_eq!(sched_getaffinity(None).unwrap(), all);
    }
}
