//! What a feed tells of deficits, so that it can be compared with another feed, and with what stands.

use std::collections::BTreeMap;

use holdfast::domain::Units;
use holdfast::ledger::event::Body;

/// One deficit after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    was: Units,
    deficit: Units,
    by_expiry: bool,
}

/// Of each SKU, what was told one after the other. What expires in a row counts as one step: each
/// ledger has an order of its own for it.
#[derive(Debug, Default)]
pub(crate) struct Deficits {
    courses: BTreeMap<String, Vec<Step>>,
    /// What stands in the feed last, but for what is told of SKUs, expired.
    after_expiry: bool,
}

impl PartialEq for Deficits {
    fn eq(&self, other: &Self) -> bool {
        self.courses == other.courses
    }
}

impl Eq for Deficits {}

impl Deficits {
    pub(crate) fn note(&mut self, body: &Body<'_>) {
        let Body::Deficit(told) = body else {
            if !matches!(body, Body::LowWater(_)) {
                self.after_expiry = matches!(body, Body::Expired { .. });
            }
            return;
        };
        let course = self.courses.entry(told.sku.to_owned()).or_default();
        let before = course.last().map_or(Units::ZERO, |step| step.deficit);
        assert_eq!(told.was, before, "{}: what was told before", told.sku);
        assert_ne!(told.was, told.deficit, "{}: nothing new", told.sku);
        let step = Step {
            was: told.was,
            deficit: told.deficit,
            by_expiry: self.after_expiry,
        };
        match course.last_mut() {
            Some(last) if last.by_expiry && step.by_expiry => last.deficit = step.deficit,
            _ => course.push(step),
        }
    }

    /// What is missing by the last word on each SKU.
    pub(crate) fn standing(&self) -> BTreeMap<String, Units> {
        let last =
            |(sku, course): (&String, &Vec<Step>)| Some((sku.clone(), course.last()?.deficit));
        let all = self.courses.iter().filter_map(last);
        all.filter(|(_, deficit)| !deficit.is_zero()).collect()
    }

    /// How often one began, and how often one ended.
    pub(crate) fn turns(&self) -> [usize; 2] {
        let steps = || self.courses.values().flatten();
        [
            steps().filter(|step| step.was.is_zero()).count(),
            steps().filter(|step| step.deficit.is_zero()).count(),
        ]
    }
}
