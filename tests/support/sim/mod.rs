//! What simulations share: what a seed must go through, its film, and how seeds are run.

pub(crate) mod counts;
pub(crate) mod film;
pub(crate) mod seeds;
