//! What a policy says of SKUs beside limits: each of it by itself, and of those who say it whoever
//! comes first.

use super::classes::Class;
use super::compile::Policy;
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

    pub(super) fn is_always(&self) -> bool {
        (self.from, self.until) == ALWAYS
    }

    fn at(&self, now: UnixMillis) -> Option<Terms> {
        (self.from <= now && now < self.until).then_some(self.terms)
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
        let Some(class) = self.classes.of(sku) else {
            return Terms::NONE;
        };
        let in_force = self.terms_of(class).filter_map(|of| of.at(now));
        in_force.fold(Terms::NONE, Terms::or)
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
