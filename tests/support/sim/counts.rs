//! Names and counts of what a simulation must have gone through: the faults that it made, and what
//! is to be seen sometimes. A fault that never fires and a path that is never taken prove nothing.

use std::marker::PhantomData;

/// Members of an enumeration, with names for people.
pub(crate) trait Named: Copy + PartialEq + 'static {
    const ALL: &'static [Self];

    fn name(self) -> &'static str;

    fn place(self) -> usize {
        Self::ALL.iter().position(|one| *one == self).unwrap()
    }
}

/// An enumeration whose members have names for people.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($variant,)*
        }

        impl $crate::sim::counts::Named for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

pub(crate) use named;

/// How often each fault was made and each of the others was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts<F, S> {
    faults: Vec<u64>,
    sometimes: Vec<u64>,
    of: PhantomData<(F, S)>,
}

impl<F: Named, S: Named> Default for Counts<F, S> {
    fn default() -> Self {
        Self {
            faults: vec![0; F::ALL.len()],
            sometimes: vec![0; S::ALL.len()],
            of: PhantomData,
        }
    }
}

impl<F: Named, S: Named> Counts<F, S> {
    pub(crate) fn fired(&mut self, fault: F) {
        self.faults[fault.place()] += 1;
    }

    pub(crate) fn saw(&mut self, what: S) {
        self.sometimes[what.place()] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let add = |(sum, of): (&mut u64, &u64)| *sum += of;
        self.faults.iter_mut().zip(&other.faults).for_each(add);
        let sometimes = self.sometimes.iter_mut().zip(&other.sometimes);
        sometimes.for_each(add);
    }

    /// Those of some kind, with their names.
    fn named<N: Named>(counts: &[u64]) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = N::ALL.iter().map(|one| one.name());
        names.zip(counts.iter().copied())
    }

    /// The names of faults that fired less often than that, and of what was never seen.
    pub(crate) fn missing(&self, least: u64) -> Vec<String> {
        let seldom = Self::named::<F>(&self.faults).filter(|(_, count)| *count < least);
        let never = Self::named::<S>(&self.sometimes).filter(|(_, count)| *count == 0);
        let name = |(name, count): (&str, u64)| format!("{name}: {count}");
        seldom.map(name).chain(never.map(name)).collect()
    }

    /// One line each.
    pub(crate) fn table(&self) -> String {
        let line = |(name, count): (&str, u64)| format!("{count:>9}  {name}\n");
        let faults = Self::named::<F>(&self.faults).map(line);
        let sometimes = Self::named::<S>(&self.sometimes).map(line);
        faults.chain(sometimes).collect()
    }
}
