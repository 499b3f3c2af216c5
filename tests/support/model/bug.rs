//! Faults to put into a copy of the model: a checker that misses one of them is asleep.

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A deadline counts as passed one millisecond late.
    DeadlineOneLater,
    /// A key that comes again with another content gets the old answer.
    ContentIgnored,
    /// A later line of a reservation does not see what an earlier one took.
    LinesApart,
    /// Safety stock in percent is rounded down.
    SafetyForgotten,
    /// What a node keeps back goes to lines that are pinned to it.
    NodeSafetyForgotten,
    /// A pinned line is only judged by the total.
    PinForgotten,
    /// Releasing too much releases what there is.
    ReleaseClamped,
    /// Units shipped from any node are all taken from the first.
    ShipFromFirst,
    /// Returned units go on hand though they are damaged.
    ReturnAlwaysRestocks,
    /// An extension may shorten.
    ExtendShortens,
    /// A SKU is low no more as soon as more than its mark is available.
    ResumeForgotten,
    /// A stale compare-and-set names only the first item.
    OneStale,
    /// What was shipped counts against no cap.
    ShippedUncounted,
    /// What is kept for others may be taken.
    NothingKept,
    /// What is of another channel's share counts as the seller's own.
    ChargedToSeller,
    /// Safety stocks and low-water marks of the policy are for nobody.
    TermsForgotten,
}

impl Bug {
    /// Whether it shows only where there is a policy.
    pub(crate) fn is_of_policies(self) -> bool {
        matches!(
            self,
            Self::ShippedUncounted
                | Self::NothingKept
                | Self::ChargedToSeller
                | Self::TermsForgotten
        )
    }

    pub(crate) const ALL: [Self; 16] = [
        Self::DeadlineOneLater,
        Self::ContentIgnored,
        Self::LinesApart,
        Self::SafetyForgotten,
        Self::NodeSafetyForgotten,
        Self::PinForgotten,
        Self::ReleaseClamped,
        Self::ShipFromFirst,
        Self::ReturnAlwaysRestocks,
        Self::ExtendShortens,
        Self::ResumeForgotten,
        Self::OneStale,
        Self::ShippedUncounted,
        Self::NothingKept,
        Self::ChargedToSeller,
        Self::TermsForgotten,
    ];
}
