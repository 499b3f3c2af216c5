//! Safety stock of single nodes as the scripts keep it: see `lua/lib/room.lua`.

use super::Malformed;
use super::record::Integers;
use super::water::{LEVEL_BYTES, level, number};
use crate::domain::{NodeIx, NodeSafety};

/// The text; empty where no node has any.
pub(super) fn pack(nodes: &NodeSafety) -> Vec<u8> {
    let count = u16::try_from(nodes.nodes().len()).unwrap_or(u16::MAX);
    if count == 0 {
        return Vec::new();
    }
    let mut bytes = count.to_le_bytes().to_vec();
    for (node, of_node) in nodes.nodes() {
        let (units, is_share) = number(*of_node);
        bytes.extend(node.0.to_le_bytes());
        bytes.push(u8::from(is_share));
        bytes.extend(units.to_le_bytes().iter().take(LEVEL_BYTES));
    }
    bytes
}

/// Takes a text that is not empty.
pub(super) fn take(from: &mut Integers<'_>) -> Result<NodeSafety, Malformed> {
    let nodes = (0..from.index()?).map(|_| {
        let node = NodeIx(from.index()?);
        let is_share = from.next::<1>()? == 1;
        Ok((node, level(from.amount()?, is_share)?))
    });
    let nodes = nodes.collect::<Result<_, Malformed>>()?;
    NodeSafety::new(nodes).ok_or(Malformed)
}

/// Reads a text, which may be empty.
pub(super) fn unpack(bytes: &[u8]) -> Result<NodeSafety, Malformed> {
    if bytes.is_empty() {
        return Ok(NodeSafety::default());
    }
    let mut from = Integers(bytes);
    let found = take(&mut from)?;
    Some(found).filter(|_| from.0.is_empty()).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Level, Units};

    #[test]
    fn the_safety_of_every_node_comes_back() {
        let nodes = vec![
            (NodeIx(0), Level::Units(Units::MAX)),
            (NodeIx(7), Level::Percent(10_000)),
            (NodeIx(u16::MAX), Level::Units(Units::ZERO)),
        ];
        let nodes = NodeSafety::new(nodes).unwrap();
        let bytes = pack(&nodes);
        assert_eq!(unpack(&bytes), Ok(nodes));
        for cut in 1..bytes.len() {
            assert_eq!(unpack(&bytes[..cut]), Err(Malformed));
        }
        assert_eq!(unpack(&[&*bytes, &[0]].concat()), Err(Malformed));
        assert!(pack(&NodeSafety::default()).is_empty());
        assert_eq!(unpack(&[]), Ok(NodeSafety::default()));
    }
}
