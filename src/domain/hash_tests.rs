//! A key that was used for one command is refused to any other: so whatever two commands differ in,
//! their fingerprints differ.

use std::collections::HashMap;

use super::calendar::InboundKind;
use super::command::{
    Act, AdjustItem, Channel, Command, InboundCommand, LineRequest, Lines, MoveShares, PutInbound,
    PutSettings, ReceiveInbound, Reserve, SetItem, ShareItem, StockChange, StockCommand,
    TransferItem, Verb,
};
use super::hash::Hasher;
use super::stock::Selling;
use super::{
    ChannelIx, Day, HoldTtl, Level, LowWater, NodeIx, NodeSafety, ReservationId, Setting, Sku, Ttl,
    Units, WhileLow,
};

fn units(n: u64) -> Units {
    Units::new(n).unwrap()
}

fn sku(name: &str) -> Sku<'_> {
    Sku::new(name).unwrap()
}

fn day(n: u16) -> Day {
    Day::new(n).unwrap()
}

fn ttl(ms: u32) -> Ttl {
    Ttl::from_millis(ms).unwrap()
}

/// A change of the value itself, so that the rest stays as it was.
fn with<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

fn line<'a>() -> LineRequest<'a> {
    LineRequest {
        sku: sku("A"),
        node: None,
        quantity: units(2),
        by: None,
    }
}

/// Lines that differ from each other in one thing.
fn lines<'a>() -> Vec<Lines<'a>> {
    let single = [
        line(),
        with(line(), |line| line.sku = sku("B")),
        with(line(), |line| line.node = Some(NodeIx(0))),
        with(line(), |line| line.quantity = units(3)),
        with(line(), |line| line.by = Some(day(20_000))),
        with(line(), |line| line.by = Some(day(20_001))),
    ];
    let pair = [line(), with(line(), |line| line.sku = sku("B"))];
    single
        .into_iter()
        .map(|line| Lines::try_new([line]))
        .chain([Lines::try_new(pair)])
        .map(Result::unwrap)
        .collect()
}

fn reservations<'a>() -> Vec<Command<'a>> {
    let channel = |name| Channel { name, index: None };
    let like = |lines: Lines<'a>| Reserve {
        channel: channel("web"),
        reference: None,
        ttl: HoldTtl::Asked(ttl(1_000)),
        allow_partial: false,
        lines,
    };
    let plain = like(Lines::try_new([line()]).unwrap());
    let mut all = vec![
        with(plain.clone(), |of| of.channel = channel("app")),
        with(plain.clone(), |of| of.reference = Some("")),
        with(plain.clone(), |of| of.reference = Some("order 1")),
        with(plain.clone(), |of| of.ttl = HoldTtl::Asked(ttl(1_001))),
        with(plain.clone(), |of| of.ttl = HoldTtl::Default(ttl(1_000))),
        with(plain, |of| of.allow_partial = true),
    ];
    all.extend(lines().into_iter().map(like));
    all.into_iter().map(Command::Reserve).collect()
}

fn acts<'a>() -> Vec<Command<'a>> {
    let (one, other) = (NodeIx(1), NodeIx(2));
    let verbs = [
        Verb::Confirm,
        Verb::Release,
        Verb::Extend(ttl(1_000)),
        Verb::Extend(ttl(1_001)),
        Verb::Ship { from: None },
        Verb::Ship { from: Some(one) },
        Verb::Return {
            restock: false,
            to: None,
        },
        Verb::Return {
            restock: true,
            to: None,
        },
        Verb::Return {
            restock: true,
            to: Some(one),
        },
        Verb::Transfer { to: one },
        Verb::Transfer { to: other },
    ];
    let act = |id, verb, lines| {
        let id = ReservationId(id);
        Command::Act(Act { id, verb, lines })
    };
    let whole = verbs.into_iter().map(|verb| act(1, verb, None));
    let by_lines = lines().into_iter();
    let by_lines = by_lines.map(|lines| act(1, Verb::Confirm, Some(lines)));
    let others = [act(2, Verb::Confirm, None)];
    whole.chain(by_lines).chain(others).collect()
}

fn changes_of_stock<'a>() -> Vec<Command<'a>> {
    let set = SetItem {
        sku: sku("A"),
        node: NodeIx(0),
        on_hand: Some(units(5)),
        unavailable: None,
        change_from: None,
    };
    let adjust = AdjustItem {
        sku: sku("A"),
        node: NodeIx(0),
        on_hand: 5,
        unavailable: 0,
        change_from: None,
    };
    let transfer = TransferItem {
        sku: sku("A"),
        from: NodeIx(0),
        to: NodeIx(1),
        quantity: units(5),
    };
    let sets = [
        set,
        with(set, |item| item.sku = sku("B")),
        with(set, |item| item.node = NodeIx(1)),
        with(set, |item| item.on_hand = None),
        with(set, |item| item.on_hand = Some(units(6))),
        with(set, |item| item.unavailable = Some(units(0))),
        with(set, |item| item.change_from = Some(units(0))),
    ];
    let adjusts = [
        adjust,
        with(adjust, |item| item.sku = sku("B")),
        with(adjust, |item| item.node = NodeIx(1)),
        with(adjust, |item| item.on_hand = -5),
        with(adjust, |item| item.unavailable = 1),
        with(adjust, |item| item.change_from = Some(units(0))),
    ];
    let transfers = [
        transfer,
        with(transfer, |item| item.sku = sku("B")),
        with(transfer, |item| item.from = NodeIx(2)),
        with(transfer, |item| item.to = NodeIx(2)),
        with(transfer, |item| item.quantity = units(6)),
    ];
    let command = |change| StockCommand {
        change,
        reason: "count",
        operator: None,
    };
    let plain = command(StockChange::Set(vec![set, set]));
    let sets = sets.map(|item| command(StockChange::Set(vec![item])));
    let adjusts = adjusts.map(|item| command(StockChange::Adjust(vec![item])));
    let transfers = transfers.map(|item| command(StockChange::Transfer(vec![item])));
    let others = [
        plain.clone(),
        with(plain.clone(), |of| of.reason = "loss"),
        with(plain, |of| of.operator = Some("ann")),
    ];
    let all = sets.into_iter().chain(adjusts).chain(transfers);
    all.chain(others).map(Command::Stock).collect()
}

fn announcements<'a>() -> Vec<Command<'a>> {
    let put = PutInbound {
        sku: sku("A"),
        id: "ship 1",
        kind: InboundKind::InTransit,
        node: NodeIx(0),
        due: day(20_000),
        quantity: units(5),
    };
    let receive = ReceiveInbound {
        sku: sku("A"),
        id: "ship 1",
        quantity: units(5),
        is_final: false,
    };
    let puts = [
        put,
        with(put, |item| item.sku = sku("B")),
        with(put, |item| item.id = "ship 2"),
        with(put, |item| item.kind = InboundKind::Presale),
        with(put, |item| item.kind = InboundKind::Return),
        with(put, |item| item.node = NodeIx(1)),
        with(put, |item| item.due = day(20_001)),
        with(put, |item| item.quantity = units(6)),
    ];
    let receipts = [
        receive,
        with(receive, |item| item.sku = sku("B")),
        with(receive, |item| item.id = "ship 2"),
        with(receive, |item| item.quantity = units(6)),
        with(receive, |item| item.is_final = true),
    ];
    let puts = puts.map(|item| InboundCommand::Put(vec![item]));
    let receipts = receipts.map(|item| InboundCommand::Receive(vec![item]));
    let all = puts.into_iter().chain(receipts);
    all.map(Command::Inbound).collect()
}

fn moves_of_shares<'a>() -> Vec<Command<'a>> {
    let item = ShareItem {
        sku: sku("A"),
        from: ChannelIx(1),
        to: ChannelIx(2),
        units: units(5),
    };
    let items = [
        item,
        with(item, |item| item.sku = sku("B")),
        with(item, |item| item.from = ChannelIx(3)),
        with(item, |item| item.to = ChannelIx(3)),
        with(item, |item| item.units = units(6)),
    ];
    let command = |items| MoveShares {
        items,
        reason: "slow",
        operator: None,
    };
    let plain = command(vec![item, item]);
    let others = [
        plain.clone(),
        with(plain.clone(), |of| of.reason = "late"),
        with(plain, |of| of.operator = Some("ann")),
    ];
    let single = items.map(|item| command(vec![item]));
    let all = single.into_iter().chain(others);
    all.map(Command::MoveShares).collect()
}

fn settings(nodes: &[NodeSafety]) -> Vec<Command<'_>> {
    let plain = PutSettings {
        sku: sku("A"),
        safety: None,
        node_safety: None,
        selling: None,
        low_water: None,
        if_version: None,
        over: None,
    };
    let mark = LowWater::at(Level::Units(units(3)));
    let marks = [
        None,
        Some(mark),
        Some(LowWater::at(Level::Units(units(4)))),
        Some(LowWater::at(Level::Percent(3))),
        Some(with(mark, |of| of.resume = Some(Level::Units(units(9))))),
        Some(with(mark, |of| of.then = WhileLow::Suspend)),
    ];
    let mut all = vec![
        plain,
        with(plain, |put| put.sku = sku("B")),
        with(plain, |put| put.selling = Some(Selling::On)),
        with(plain, |put| put.selling = Some(Selling::Suspended)),
        with(plain, |put| put.if_version = Some(0)),
        with(plain, |put| put.if_version = Some(1)),
        with(plain, |put| put.over = Some("")),
        with(plain, |put| put.over = Some("broken")),
        with(plain, |put| put.safety = Some(Setting::AsPolicy)),
        with(plain, |put| put.low_water = Some(Setting::AsPolicy)),
    ];
    for level in [
        Level::Units(units(3)),
        Level::Units(units(4)),
        Level::Percent(3),
    ] {
        all.push(with(plain, |put| put.safety = Some(Setting::Own(level))));
    }
    for mark in marks {
        all.push(with(plain, |put| put.low_water = Some(Setting::Own(mark))));
    }
    for nodes in nodes {
        all.push(with(plain, |put| put.node_safety = Some(nodes)));
    }
    all.into_iter().map(Command::PutSettings).collect()
}

#[test]
fn commands_that_differ_in_anything_have_different_fingerprints() {
    let level = |n| Level::Units(units(n));
    let nodes = [
        vec![],
        vec![(NodeIx(0), level(1))],
        vec![(NodeIx(1), level(1))],
        vec![(NodeIx(0), level(2))],
        vec![(NodeIx(0), level(1)), (NodeIx(1), level(1))],
    ];
    let nodes = nodes.map(|nodes| NodeSafety::new(nodes).unwrap());
    let commands: [Vec<Command<'_>>; 6] = [
        settings(&nodes),
        reservations(),
        acts(),
        changes_of_stock(),
        announcements(),
        moves_of_shares(),
    ];
    let hasher = Hasher::new(7);
    let mut seen = HashMap::new();
    for command in commands.iter().flatten() {
        let before = seen.insert(hasher.fingerprint(command), command);
        assert_eq!(before, None, "beside {command:?}");
    }
}

#[test]
fn skus_and_keys_are_hashed_by_name_and_by_ledger() {
    let (one, other) = (Hasher::new(7), Hasher::new(8));
    let mut skus = vec![one.sku("A"), one.sku("B"), other.sku("A"), other.sku("B")];
    let mut keys = vec![one.key("A"), one.key("B"), other.key("A"), other.key("B")];
    skus.sort_unstable();
    skus.dedup();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((skus.len(), keys.len()), (4, 4));
    assert_eq!(Hasher::new(one.seed()), one);
}
