//! A crowd of buyers on several channels at once.

use crate::desk::Desk;
use crate::live;

#[test]
fn a_live_channel_gets_at_most_its_cap() {
    live::a_live_channel_gets_at_most_its_cap(&[Desk::new().engine]);
}
