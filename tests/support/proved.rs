//! Proofs of ledgers, and what the program that shares nothing with the engine says of them.

use holdfast::blocking::wait_for;
use holdfast::engine::Engine;
use holdfast::ledger::proof::{Proof as Written, Range};
use holdfast_verify::{Proof, Refusal, Rejection, verify};

/// Of everything that an engine has, as it keeps keys so long.
pub(crate) fn range(retention_ms: i64) -> Range {
    Range {
        retention_ms,
        ..Range::default()
    }
}

/// Writes a proof.
pub(crate) fn written(engine: &Engine, range: &Range) -> (Written, Vec<u8>) {
    let mut bytes = Vec::new();
    let written = wait_for(engine.prove(range, &mut bytes)).unwrap();
    (written, bytes)
}

/// Writes a proof, has it checked, and compares what both sides say of it.
pub(crate) fn proved(engine: &Engine, range: &Range) -> (Proof, Vec<u8>) {
    let (written, bytes) = written(engine, range);
    let proof = verify(&bytes[..]).unwrap_or_else(|refusal| {
        let line = rejected(&refusal).line;
        let line = usize::try_from(line).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        panic!("{refusal}\n{}", lines[line.saturating_sub(1)])
    });
    assert_eq!(
        (&proof.hash, proof.records, proof.reservations, proof.skus),
        (
            &written.hash,
            written.records,
            written.reservations,
            written.skus
        )
    );
    (proof, bytes)
}

/// Where it was rejected.
pub(crate) fn rejected(refusal: &Refusal) -> &Rejection {
    match refusal {
        Refusal::Rejected(rejection) => rejection,
        other @ (Refusal::Unreadable(_) | Refusal::Other | Refusal::Version(_)) => {
            panic!("{other}")
        }
    }
}
