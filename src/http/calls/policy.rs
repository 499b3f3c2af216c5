//! The calls about the policy and its campaigns.

use super::{Answer, Call, Parameter, Place, SKU, get, post};
use crate::http::catalog::{self, Kind};

/// Why a policy may not be put.
const PUT_POLICY: &[&Kind] = &[
    &catalog::INVALID_PARAMETER,
    &catalog::POLICY_INVALID,
    &catalog::POLICY_FROZEN,
    &catalog::PRECONDITION_REQUIRED,
    &catalog::VERSION_MISMATCH,
    &catalog::TABLE_FULL,
    &catalog::POISONED,
    &catalog::RESULT_UNKNOWN,
];

/// Why an earlier policy may not be put again.
const ROLL_BACK: &[&Kind] = &[
    &catalog::INVALID_PARAMETER,
    &catalog::UNKNOWN_POLICY_VERSION,
    &catalog::POLICY_INVALID,
    &catalog::POLICY_FROZEN,
    &catalog::VERSION_MISMATCH,
    &catalog::POISONED,
    &catalog::RESULT_UNKNOWN,
];

const PREFLIGHT_PATH: &str = "/v1/campaigns/{name}/preflight";

const PREFLIGHT: &[Parameter] = &[
    ("name", Place::Path, "Which campaign."),
    (
        "stale_after_seconds",
        Place::Query,
        "Counts older than this are stale; a day when left out.",
    ),
];

/// See [`super::all`].
pub(super) const CALLS: &[Call] = &[
    Call {
        summary: "The policy in force: which channel may take how much. Its ETag is its version.",
        answer: Answer::Json("200", "Policy"),
        own: &[&catalog::NO_POLICY],
        ..get("/v1/policy", "get_policy", "policy")
    },
    Call {
        method: "PUT",
        summary: "Put a policy in force, whole; with dry_run only say what that would change.",
        parameters: &[
            (
                "If-Match",
                Place::Header,
                "The entity tag read, or *; required where there is a policy.",
            ),
            (
                "dry_run",
                Place::Query,
                "true: check everything, change nothing.",
            ),
            ("operator", Place::Query, "Who, for the change log."),
            ("reason", Place::Query, "Why, for the change log."),
            (
                "override",
                Place::Query,
                "Why the freeze of a campaign is overridden.",
            ),
        ],
        body: Some(("Policy", true)),
        own: PUT_POLICY,
        answer: Answer::Json("200", "PolicyPut"),
        ..get("/v1/policy", "put_policy", "policy")
    },
    Call {
        summary: "The last 16 versions of the policy, newest first.",
        answer: Answer::Json("200", "PolicyVersions"),
        ..get("/v1/policy/versions", "get_policy_versions", "policy")
    },
    Call {
        summary: "A version of the policy, with its document.",
        parameters: &[("version", Place::Path, "Which.")],
        answer: Answer::Json("200", "PolicyVersionWhole"),
        own: &[&catalog::UNKNOWN_POLICY_VERSION],
        ..get(
            "/v1/policy/versions/{version}",
            "get_policy_version",
            "policy",
        )
    },
    Call {
        method: "POST",
        summary: "Put the policy of an earlier version in force again, as a new version.",
        parameters: &[(
            "If-Match",
            Place::Header,
            "The entity tag read; left out: whatever is in force.",
        )],
        body: Some(("RollbackRequest", true)),
        own: ROLL_BACK,
        answer: Answer::Json("200", "PolicyPut"),
        ..get("/v1/policy/rollback", "roll_back_policy", "policy")
    },
    Call {
        summary: "Move share between channels, in the windows in force; all items or none.",
        tag: "policy",
        answer: Answer::Json("200", "ShareMoves"),
        own: &[&catalog::UNKNOWN_SKU, &catalog::OVER_SHARE],
        ..post("/v1/shares/moves", "move_shares", "ShareMovesRequest")
    },
    Call {
        summary: "What of the policy is in force for a SKU, and how its channels stand.",
        parameters: &[SKU, ("channel", Place::Query, "This one only.")],
        answer: Answer::Json("200", "SkuPolicy"),
        own: &[&catalog::UNKNOWN_SKU, &catalog::INVALID_PARAMETER],
        ..get("/v1/skus/{sku}/policy", "get_sku_policy", "policy")
    },
    Call {
        summary: "Moves that share out anew what the channels of a SKU have left; makes none.",
        parameters: &[
            SKU,
            (
                "by",
                Place::Query,
                "use (when left out): who sells more gets more; even: to each the same.",
            ),
        ],
        answer: Answer::Json("200", "Rebalance"),
        own: &[&catalog::UNKNOWN_SKU, &catalog::INVALID_PARAMETER],
        ..get("/v1/skus/{sku}/rebalance", "rebalance", "policy")
    },
    Call {
        summary: "The campaigns of the policy in force, with where they stand.",
        answer: Answer::Json("200", "Campaigns"),
        ..get("/v1/campaigns", "get_campaigns", "policy")
    },
    Call {
        summary: "What would go wrong in a campaign of the policy in force, with the fix.",
        parameters: PREFLIGHT,
        answer: Answer::Json("200", "Preflight"),
        own: &[&catalog::UNKNOWN_CAMPAIGN, &catalog::INVALID_PARAMETER],
        ..get(PREFLIGHT_PATH, "preflight", "policy")
    },
    Call {
        method: "POST",
        summary: "What would go wrong in a campaign of this policy, which is not put.",
        parameters: PREFLIGHT,
        body: Some(("Policy", true)),
        answer: Answer::Json("200", "Preflight"),
        own: &[
            &catalog::UNKNOWN_CAMPAIGN,
            &catalog::INVALID_PARAMETER,
            &catalog::POLICY_INVALID,
        ],
        ..get(PREFLIGHT_PATH, "preflight_of", "policy")
    },
];
