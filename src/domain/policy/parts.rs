//! A policy taken apart, for a store that asks it by itself.

use std::collections::HashMap;
use std::sync::Arc;

use super::campaign::CampaignTerms;
use super::compile::Policy;
use super::document::Every;
use super::limits::Limits;
use super::terms::TermsInTime;
use crate::domain::ids::ChannelIx;
use crate::domain::time::UnixMillis;

/// See the module's documentation.
#[derive(Debug)]
pub struct Parts<'p> {
    /// Number and rank of each channel by its index; `None`: it is no entry of the tree.
    pub channels: Vec<Option<(u16, u16)>>,
    /// Of each channel that has any, whose shares it may use when its own does not do, in that order.
    pub fallbacks: Vec<(ChannelIx, &'p [ChannelIx])>,
    /// The limits of every rule and of every campaign, which may have none.
    pub limits: Vec<Option<&'p Limits>>,
    /// Rules of which one at most is in force at a time.
    pub schedules: Vec<Schedule>,
    /// Of each class its schedules; the rule in force is that of the first that has one.
    pub classes: Vec<Vec<usize>>,
    /// Of each class what is said beside limits; see [`Policy::terms`].
    pub terms: Vec<Vec<TermsInTime>>,
    /// Of each class the campaigns that forbid edits, in order of time.
    pub frozen: Vec<Vec<&'p CampaignTerms>>,
    /// The SKUs that are listed, with their classes.
    pub skus: Vec<(&'p str, u32)>,
    /// The prefixes, with the classes of whatever begins so and is not listed.
    pub prefixes: Vec<(&'p str, u32)>,
    /// Their lengths, longest first.
    pub lengths: &'p [usize],
    /// The class of all others.
    pub rest: u32,
}

/// See [`Parts::schedules`].
#[derive(Debug, Default)]
pub struct Schedule {
    /// In order of their periods, which do not overlap.
    pub dated: Vec<Dated>,
    /// The rule while none with a period is in force; its place among the limits.
    pub always: Option<usize>,
}

/// A rule with a period.
#[derive(Debug)]
pub struct Dated {
    /// Its first moment.
    pub from: UnixMillis,
    /// The first moment after it.
    pub until: UnixMillis,
    /// How often a window begins.
    pub every: Option<Every>,
    /// Its place among the limits.
    pub limits: usize,
}

impl Policy {
    /// Takes it apart.
    pub fn parts(&self) -> Parts<'_> {
        let channels = self.numbers.iter().map(|number| {
            let place = number.and_then(|number| self.place(number))?;
            Some((place.low, place.rank))
        });
        let mut parts = Parts {
            channels: channels.collect(),
            fallbacks: self.fallbacks.all().collect(),
            limits: Vec::new(),
            schedules: Vec::new(),
            classes: Vec::new(),
            terms: Vec::new(),
            frozen: Vec::new(),
            skus: self.classes.listed().collect(),
            prefixes: self.classes.prefixes().collect(),
            lengths: self.classes.lengths(),
            rest: self.classes.rest(),
        };
        self.add_rules(&mut parts);
        self.add_classes(&mut parts);
        parts
    }

    fn add_rules<'p>(&'p self, parts: &mut Parts<'p>) {
        let Parts {
            limits, schedules, ..
        } = parts;
        let mut keep = |of: &'p Limits| {
            limits.push(Some(of));
            limits.len().saturating_sub(1)
        };
        for scope in &self.scopes {
            let dated = scope.dated.iter().map(|rule| Dated {
                from: rule.from,
                until: rule.until,
                every: rule.every,
                limits: keep(&rule.limits),
            });
            let dated = dated.collect();
            let always = scope.always.as_ref().map(|rule| keep(&rule.limits));
            schedules.push(Schedule { dated, always });
        }
    }

    /// Campaigns go before all rules. Those of one class are never on together, so they are a
    /// schedule, which classes may share.
    fn add_classes<'p>(&'p self, parts: &mut Parts<'p>) {
        let first = parts.limits.len();
        let limits = self.campaigns.iter().map(CampaignTerms::limits);
        parts.limits.extend(limits);
        let mut known: HashMap<Arc<[u32]>, usize> = HashMap::new();
        for class in self.classes.all() {
            let next = parts.schedules.len();
            let campaigns = *known.entry(Arc::clone(&class.campaigns)).or_insert(next);
            if campaigns == next {
                let dated = class.campaigns.iter().filter_map(|number| {
                    let number = usize::try_from(*number).ok()?;
                    let of = self.campaigns.get(number)?;
                    of.limits()?;
                    Some(Dated {
                        from: of.from,
                        until: of.until,
                        every: of.every(),
                        limits: first.saturating_add(number),
                    })
                });
                let dated = dated.collect();
                parts.schedules.push(Schedule {
                    dated,
                    always: None,
                });
            }
            let numbers = class.campaigns.iter();
            let terms = numbers.filter_map(|number| {
                let number = usize::try_from(*number).ok()?;
                self.campaigns.get(number)
            });
            parts.terms.push(self.terms_of(class).collect());
            parts.frozen.push(terms.filter(|of| of.freeze).collect());
            let scopes = class.scopes.iter().map(|scope| usize::try_from(*scope));
            let scopes = scopes.filter_map(Result::ok);
            let has_any = |at: &usize| {
                let schedule = parts.schedules.get(*at);
                schedule.is_some_and(|of| of.always.is_some() || !of.dated.is_empty())
            };
            let class = std::iter::once(campaigns).chain(scopes).filter(has_any);
            parts.classes.push(class.collect());
        }
    }
}
