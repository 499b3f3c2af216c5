//! What may be edited while a campaign has it frozen: nothing, unless somebody says why.

use super::super::command::PutSettings;
use super::super::policy::{CampaignTerms, Policy};
use super::super::time::UnixMillis;
use super::super::verdict::Frozen;

/// Decides an edit of the policy, of which a roll-back is one, by the policy in force. `over` says
/// why a freeze is overridden; empty: it is not. The answer is whether it was.
pub fn policy_edit(policy: Option<&Policy>, now: UnixMillis, over: &str) -> Result<bool, Frozen> {
    let frozen = policy.and_then(|policy| policy.frozen(now));
    judge(frozen, over)
}

/// The same for the settings of a SKU, which only its own campaign freezes.
pub(super) fn settings_edit(
    policy: Option<&Policy>,
    put: &PutSettings<'_>,
    now: UnixMillis,
) -> Result<bool, Frozen> {
    let campaign = policy.and_then(|policy| policy.campaign_of(put.sku.as_str(), now));
    let frozen = campaign.filter(|campaign| campaign.freeze);
    judge(frozen, put.over.unwrap_or_default())
}

fn judge(frozen: Option<&CampaignTerms>, over: &str) -> Result<bool, Frozen> {
    match frozen {
        Some(campaign) if over.is_empty() => Err(Frozen {
            campaign: campaign.name.clone(),
            until: campaign.until,
        }),
        found => Ok(found.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ids::Sku;
    use super::super::super::policy::{Campaign, Document, Items};
    use super::*;

    /// Frozen for SKU `S` from 10 to 20.
    fn policy() -> Policy {
        let campaign = Campaign {
            terms: crate::domain::Terms::NONE,
            name: "drop".into(),
            from: UnixMillis(10),
            until: UnixMillis(20),
            items: Items::Skus(vec!["S".into()]),
            limits: Vec::new(),
            every: None,
            hold_seconds: None,
            payment_seconds: None,
            nodes: Vec::new(),
            expected: Vec::new(),
            freeze: true,
        };
        let document = Document {
            campaigns: vec![campaign],
            ..Document::default()
        };
        Policy::compile(&document, |_| None).unwrap()
    }

    fn put<'a>(sku: &'a str, over: Option<&'a str>) -> PutSettings<'a> {
        PutSettings {
            sku: Sku::new(sku).unwrap(),
            safety: None,
            node_safety: None,
            selling: None,
            low_water: None,
            if_version: None,
            over,
        }
    }

    #[test]
    fn edits_wait_until_the_campaign_is_over() {
        let policy = policy();
        let frozen = Frozen {
            campaign: "drop".into(),
            until: UnixMillis(20),
        };
        for (now, expected) in [
            (9, Ok(false)),
            (10, Err(frozen.clone())),
            (19, Err(frozen)),
            (20, Ok(false)),
        ] {
            let now = UnixMillis(now);
            assert_eq!(policy_edit(Some(&policy), now, ""), expected);
            let settings = settings_edit(Some(&policy), &put("S", None), now);
            assert_eq!(settings, expected);
            let other = settings_edit(Some(&policy), &put("other", None), now);
            assert_eq!(other, Ok(false));
            assert_eq!(policy_edit(None, now, ""), Ok(false));
        }
    }

    #[test]
    fn reason_overrides_the_freeze() {
        let policy = policy();
        for (now, expected) in [(9, Ok(false)), (10, Ok(true))] {
            let now = UnixMillis(now);
            assert_eq!(policy_edit(Some(&policy), now, "recall"), expected);
            let put = put("S", Some("recall"));
            assert_eq!(settings_edit(Some(&policy), &put, now), expected);
        }
    }
}
