//! Histories of instances over the simulated store, judged by a search that trusts nothing that the
//! ledger says of their order: most of what goes wrong leaves somebody who does not know what happened.

use std::cell::RefCell;
use std::rc::Rc;

use holdfast::domain::Sku;
use tokio::task::JoinSet;

use crate::caller::{PATIENCE, pick, try_once};
use crate::instance::Instance;
use crate::linear::crowd::{Sent, names, sent};
use crate::linear::judge::{Tally, judge_all};
use crate::linear::names::Names;
use crate::linear::plan::{Kind, Plan, SMALL};
use crate::linear::said::seen;
use crate::linear::wanted;
use crate::linear::words::{Call, Heard, History, Step};
use crate::run::{Seed, begin, live, storm};
use crate::world::World;

/// What callers share.
struct Scene {
    world: World,
    plan: Plan,
    names: Names,
    calls: RefCell<Vec<Call>>,
}

impl Scene {
    async fn client(self: Rc<Self>, client: usize) {
        for planned in self.plan.of(client) {
            // Most ask again for what they do not know.
            while !self.call(planned.step).await && self.world.percent(80) {
                self.world.pause(20, 300).await;
            }
            self.world.pause(0, 60).await;
        }
    }

    /// One call; whether its caller knows what became of it.
    async fn call(&self, step: Step) -> bool {
        let Some(instance) = pick(&self.world) else {
            return false;
        };
        let sent = self.world.ticket();
        let patience = PATIENCE[self.world.index(PATIENCE.len())];
        let tried = tokio::time::timeout(patience, self.perform(&instance, step)).await;
        let end = match tried.unwrap_or(Sent::Unknown) {
            Sent::Heard(heard) => Some((self.world.ticket(), heard)),
            Sent::Unknown => None,
            Sent::Nothing => return false,
        };
        self.calls.borrow_mut().push(Call { sent, step, end });
        end.is_some()
    }

    async fn perform(&self, instance: &Instance, step: Step) -> Sent {
        match step {
            Step::Look { sku } => {
                let name = self.names.sku(sku);
                let view = instance.engine.stock(Sku::new(&name).unwrap()).await;
                view.map_or(Sent::Nothing, |view| {
                    Sent::Heard(Heard::first(seen(view.as_ref())))
                })
            }
            Step::Ask { key, wish } => {
                let (key, script) = (self.names.key(key), self.names.script(wish));
                match try_once(&self.world, instance, &key, &script).await {
                    // What a mirror says is kept nowhere, and as of a moment that has passed.
                    Ok(answer) if answer.mirror_age.is_some() => Sent::Nothing,
                    answer => sent(&self.names, answer),
                }
            }
            Step::Clock { .. } => Sent::Nothing,
        }
    }
}

async fn simulate(world: &World, number: u64) -> Result<History, String> {
    let rings = begin(world).await;
    // The store's own clocks go as they like, so holds last longer than the history.
    let kind = Kind {
        is_timed: false,
        is_lossy: false,
    };
    let plan = Plan::draw(number, SMALL, kind);
    let engine = &world.all_instances()[0].engine;
    let scene = Rc::new(Scene {
        world: world.clone(),
        names: names(&plan, "h", false, engine),
        plan,
        calls: RefCell::default(),
    });
    let mut clients = JoinSet::new();
    for client in 0..SMALL.clients {
        clients.spawn_local(Rc::clone(&scene).client(client));
    }
    storm(world, &rings, clients).await?;
    Ok(History {
        is_retried: true,
        ..History::new(None, scene.calls.take())
    })
}

#[test]
fn every_history_of_a_seed_has_an_order() {
    let mut sum = Tally::default();
    for number in 0..(wanted() / 2_000).max(10) {
        // Those whose ledger has one partition: what lies in several is in none at some instants.
        let lived = live(&Seed::new(2 * number), async |world| {
            simulate(world, number).await
        });
        let history = lived.unwrap_or_else(|fault| panic!("seed {number}: {fault}"));
        let judged = judge_all(&[history]);
        sum.add(judged.unwrap_or_else(|fault| panic!("seed {number}: {fault}")));
    }
    println!("simulated store: {sum}");
    assert!(
        sum.unheard > sum.histories,
        "most of them lose something: {sum}"
    );
}
