//! Setting, adjusting and moving stock, and the settings of a SKU.

use std::collections::BTreeMap;

use holdfast::domain::verdict::{Limit, Outcome, Refusal, Shortage, Stale, StockResult, Verdict};
use holdfast::domain::{NodeIx, Setting};

use super::super::script::{AdjustAsk, MoveAsk, Script, SetAsk};
use super::{Bug, Item, Model, Place, UNITS_MAX, units};

/// What a caller thought was there: SKU, node, units on hand.
type Expected = (String, u16, Option<u64>);

/// What a command does to places: the running copy, and each place it wrote, in order.
struct Draft {
    places: BTreeMap<String, BTreeMap<u16, Place>>,
    writes: Vec<(String, u16, Place)>,
    /// Which writes the answer names.
    named: Vec<usize>,
}

impl Draft {
    fn place(&self, sku: &str, node: u16) -> Place {
        self.places
            .get(sku)
            .and_then(|at| at.get(&node))
            .copied()
            .unwrap_or_default()
    }

    /// Writes, unless a sum over the nodes would pass the largest count.
    fn write(&mut self, sku: &str, node: u16, place: Place, named: bool) -> Result<(), Refusal> {
        let here = self.places.entry(sku.to_owned()).or_default();
        here.insert(node, place);
        let on_hand: i128 = here.values().map(|place| place.on_hand).sum();
        let apart: i128 = here.values().map(|place| place.apart).sum();
        if on_hand > UNITS_MAX || apart > UNITS_MAX {
            return Err(Refusal::TooMany { sku: sku.into() });
        }
        if named {
            self.named.push(self.writes.len());
        }
        self.writes.push((sku.to_owned(), node, place));
        Ok(())
    }
}

impl Model {
    fn draft<'a>(&self, skus: impl Iterator<Item = &'a String>) -> Draft {
        let mut places = BTreeMap::new();
        for sku in skus {
            if let Some(item) = self.items.get(sku) {
                places.insert(sku.clone(), item.places.clone());
            }
        }
        Draft {
            places,
            writes: Vec::new(),
            named: Vec::new(),
        }
    }

    fn first_unknown<'a>(&self, mut skus: impl Iterator<Item = &'a String>) -> Result<(), Refusal> {
        match skus.find(|sku| !self.items.contains_key(*sku)) {
            Some(sku) => Err(Refusal::UnknownSku {
                sku: sku.as_str().into(),
            }),
            None => Ok(()),
        }
    }

    /// Compare and set: every item against what is there before the command.
    fn compare(&self, items: impl Iterator<Item = Expected>) -> Result<(), Refusal> {
        let mut stale = Vec::new();
        for (sku, node, change_from) in items {
            let on_hand = self
                .items
                .get(&sku)
                .map_or(0, |item| item.place(node).on_hand);
            if let Some(thought) = change_from.map(i128::from).filter(|n| *n != on_hand) {
                stale.push(Stale {
                    sku: sku.into(),
                    node: NodeIx(node),
                    change_from: units(thought),
                    on_hand: units(on_hand),
                });
            }
        }
        if self.has(Bug::OneStale) {
            stale.truncate(1);
        }
        if stale.is_empty() {
            Ok(())
        } else {
            Err(Refusal::ChangeFromStale {
                items: stale.into(),
            })
        }
    }

    pub(super) fn set(&mut self, now: i64, asks: &[SetAsk]) -> Verdict {
        self.compare(
            asks.iter()
                .map(|ask| (ask.sku.clone(), ask.node, ask.change_from)),
        )?;
        let mut draft = self.draft(asks.iter().map(|ask| &ask.sku));
        for ask in asks {
            let old = draft.place(&ask.sku, ask.node);
            let place = Place {
                on_hand: ask.on_hand.map_or(old.on_hand, i128::from),
                apart: ask.unavailable.map_or(old.apart, i128::from),
            };
            draft.write(&ask.sku, ask.node, place, true)?;
        }
        Ok(self.keep(now, &draft))
    }

    pub(super) fn adjust(&mut self, now: i64, asks: &[AdjustAsk]) -> Verdict {
        self.first_unknown(asks.iter().map(|ask| &ask.sku))?;
        self.compare(
            asks.iter()
                .map(|ask| (ask.sku.clone(), ask.node, ask.change_from)),
        )?;
        let mut draft = self.draft(asks.iter().map(|ask| &ask.sku));
        for ask in asks {
            let old = draft.place(&ask.sku, ask.node);
            let changed = |count: i128, delta: i64| {
                let sum = count + i128::from(delta);
                if sum < 0 {
                    Err(Refusal::NegativeStock {
                        sku: ask.sku.as_str().into(),
                        node: NodeIx(ask.node),
                        on_hand: units(old.on_hand),
                        unavailable: units(old.apart),
                    })
                } else if sum > UNITS_MAX {
                    Err(Refusal::TooMany {
                        sku: ask.sku.as_str().into(),
                    })
                } else {
                    Ok(sum)
                }
            };
            let on_hand = changed(old.on_hand, ask.on_hand)?;
            let apart = changed(old.apart, ask.unavailable)?;
            draft.write(&ask.sku, ask.node, Place { on_hand, apart }, true)?;
        }
        Ok(self.keep(now, &draft))
    }

    pub(super) fn shift(&mut self, now: i64, asks: &[MoveAsk]) -> Verdict {
        self.first_unknown(asks.iter().map(|ask| &ask.sku))?;
        for ask in asks {
            self.expire(now, &ask.sku);
        }
        let mut draft = self.draft(asks.iter().map(|ask| &ask.sku));
        for ask in asks {
            let mut from = draft.place(&ask.sku, ask.from);
            let free = (from.on_hand - self.pinned(&ask.sku, ask.from)).max(0);
            let quantity = i128::from(ask.quantity);
            if quantity > free {
                let shortage = Shortage {
                    sku: ask.sku.as_str().into(),
                    node: Some(NodeIx(ask.from)),
                    requested: units(quantity),
                    available: units(free),
                    limit: Limit::Node,
                    next: None,
                    bound: None,
                };
                return Err(Refusal::InsufficientStock {
                    shortages: Box::new([shortage]),
                });
            }
            from.on_hand -= quantity;
            draft.write(&ask.sku, ask.from, from, false)?;
            let mut to = draft.place(&ask.sku, ask.to);
            to.on_hand += quantity;
            draft.write(&ask.sku, ask.to, to, true)?;
        }
        Ok(self.keep(now, &draft))
    }

    fn keep(&mut self, now: i64, draft: &Draft) -> Outcome {
        for (sku, ..) in &draft.writes {
            self.expire(now, sku);
        }
        for (sku, node, place) in &draft.writes {
            let item = self.items.entry(sku.clone()).or_insert_with(Item::new);
            item.places.insert(*node, *place);
            item.moves += 1;
        }
        for (sku, ..) in &draft.writes {
            self.look_up_terms_of(sku, now);
        }
        let named = draft.named.iter().map(|at| &draft.writes[*at]);
        let result = |(sku, node, place): &(String, u16, Place)| StockResult {
            sku: sku.as_str().into(),
            node: NodeIx(*node),
            on_hand: units(place.on_hand),
            unavailable: units(place.apart),
            available: units(self.available(sku)),
            version: self.items[sku].moves,
        };
        Outcome::Stock(named.map(result).collect())
    }

    pub(super) fn put_settings(&mut self, now: i64, script: &Script) -> Verdict {
        let Script::Settings {
            sku,
            safety,
            node_safety,
            selling,
            low_water,
            if_version,
        } = script
        else {
            unreachable!("only settings come here")
        };
        self.expire(now, sku);
        let mut settings = self
            .items
            .get(sku)
            .map_or_else(|| Item::new().settings, |i| i.settings.clone());
        if if_version.is_some_and(|version| version != settings.version) {
            return Err(Refusal::VersionMismatch {
                actual: settings.version,
            });
        }
        if let Some(safety) = safety {
            settings.own.safety = *safety != Setting::AsPolicy;
            if let Setting::Own(level) = safety {
                settings.safety = *level;
            }
        }
        if let Some(nodes) = node_safety {
            settings.node_safety = nodes.clone();
        }
        settings.selling = selling.unwrap_or(settings.selling);
        if let Some(mark) = low_water {
            settings.own.low_water = *mark != Setting::AsPolicy;
            if let Setting::Own(mark) = mark {
                settings.low_water = *mark;
            }
        }
        settings.version += 1;
        self.items
            .entry(sku.clone())
            .or_insert_with(Item::new)
            .settings = settings;
        self.look_up_terms_of(sku, now);
        Ok(Outcome::Settings {
            sku: sku.as_str().into(),
            settings: self.items[sku].settings.clone(),
        })
    }
}
