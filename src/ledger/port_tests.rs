//! Which answers of a batch are taken back.

use super::*;
use crate::domain::Refusal;
use crate::ledger::Position;

#[test]
fn only_answers_that_are_not_durable_are_withheld() {
    let at = |sequence| {
        Ok(Answer {
            verdict: Err(Refusal::Expired),
            replayed: false,
            position: Position {
                shard: 0,
                epoch: 1,
                sequence,
            },
            told_after: Position {
                shard: 0,
                epoch: 1,
                sequence,
            },
            mirror_age: None,
        })
    };
    let mut answers = vec![at(7), Err(LedgerError::Overloaded), at(8)];
    withhold(&mut answers, 7, LedgerError::Unknown);
    let expected = vec![
        at(7),
        Err(LedgerError::Overloaded),
        Err(LedgerError::Unknown),
    ];
    assert_eq!(answers, expected);
}
