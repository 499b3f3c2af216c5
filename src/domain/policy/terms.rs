//! What a policy says of SKUs beside limits: each of it by itself, and of those who say it whoever
//! comes first.

use super::classes::{Class, ClassIx};
use super::compile::{Policy, ScopeRules};
use super::document::Period;
use crate::domain::settings::Terms;
use crate::domain::time::UnixMillis;

/// Terms with a period.
#[derive(Debug, Clone, Copy)]
pub struct TermsInTime {
    /// The first moment at which they hold.
    pub from: UnixMillis,
    /// The first moment at which they do not any more.
    pub until: UnixMillis,
    /// What they say.
    pub terms: Terms,
}

impl TermsInTime {
    /// Those of a rule, if it says any; without a period: always.
    pub(super) fn of(terms: Terms, period: Option<Period>) -> Option<Self> {
        let (from, until) = period.unwrap_or(ALWAYS);
        (!terms.is_none()).then_some(Self { from, until, terms })
    }

    /// Those with a period first, as they follow each other.
    pub(super) fn order(&self) -> (bool, UnixMillis) {
        (self.is_always(), self.from)
    }

    fn is_always(&self) -> bool {
        (self.from, self.until) == ALWAYS
    }
}

impl ScopeRules {
    /// What is said at a moment, first by the rule with a period.
    fn terms_at(&self, now: UnixMillis) -> Terms {
        let has_begun = |of: &TermsInTime| !of.is_always() && of.from <= now;
        let begun = self.terms.partition_point(has_begun);
        let dated = begun.checked_sub(1).and_then(|at| self.terms.get(at));
        let dated = dated.filter(|of| now < of.until);
        let always = self.terms.last().filter(|of| of.is_always());
        let said = dated.into_iter().chain(always).map(|of| of.terms);
        said.fold(Terms::NONE, Terms::or)
    }
}

const ALWAYS: Period = (UnixMillis(i64::MIN), UnixMillis(i64::MAX));

impl Policy {
    /// What is said of a SKU at a moment: by its campaign, by change sets, by ordinary rules; in
    /// each layer by the most specific scope, there by the rule with a period.
    pub fn terms(&self, sku: &str, now: UnixMillis) -> Terms {
        if !self.has_terms {
            return Terms::NONE;
        }
        self.terms_in(self.class_of(sku), now)
    }

    /// Whether it says anything of any SKU beside limits.
    pub const fn has_terms(&self) -> bool {
        self.has_terms
    }

    /// What is said of the SKUs of a class.
    pub fn terms_in(&self, class: ClassIx, now: UnixMillis) -> Terms {
        let Some(class) = self.classes.get(class) else {
            return Terms::NONE;
        };
        let campaign = self.running(class, now).map(|of| of.terms);
        let scopes = class.scopes.iter().filter_map(|scope| {
            let scope = usize::try_from(*scope).ok()?;
            Some(self.scopes.get(scope)?.terms_at(now))
        });
        scopes.fold(campaign.unwrap_or_default(), Terms::or)
    }

    /// All that is ever said of the SKUs of a class, first whatever goes first.
    pub(super) fn terms_of<'p>(
        &'p self,
        class: &'p Class,
    ) -> impl Iterator<Item = TermsInTime> + 'p {
        let campaigns = class.campaigns.iter().filter_map(|number| {
            let of = self.campaigns.get(usize::try_from(*number).ok()?)?;
            TermsInTime::of(of.terms, Some((of.from, of.until)))
        });
        let scopes = class.scopes.iter().filter_map(|scope| {
            let scope = usize::try_from(*scope).ok()?;
            self.scopes.get(scope)
        });
        campaigns.chain(scopes.flat_map(|of| of.terms.iter().copied()))
    }
}
