//! What makes things go wrong, now and then, as the seed has it.

use std::rc::Rc;

use crate::crowd::Crowd;
use crate::embedded::{Armed, Embedded};
use crate::faults::{Fault, Sometimes};
use crate::scheduler::Sim;

const HOUR: i64 = 3_600_000;

/// One fault after the other, until nobody sends anything any more.
pub(crate) async fn rage(sim: Sim, world: Rc<Embedded>, crowd: Rc<Crowd>) {
    let mut storms = 0;
    loop {
        sim.sleep(sim.between(5, 200)).await;
        if crowd.left.get() == 0 {
            return;
        }
        match sim.below(14) {
            0 => world.cut_now(),
            1 => world.armed.set(Armed::CutInCommit),
            2 => world.armed.set(Armed::CutInSnapshot),
            3 => {
                world.cut_recovery.set(true);
                if sim.percent(50) {
                    world.cut_now();
                } else {
                    world.kill();
                }
            }
            4 => world.kill(),
            5 => world.armed.set(Armed::Close),
            6..=7 => world.disk.fail_soon(),
            8 => {
                sim.fired(Fault::SlowDisk);
                let until = sim.now() + small(&sim, 50, 500);
                world.slow_until.set(until);
            }
            9 => {
                sim.fired(Fault::ClockForward);
                sim.jump(small(&sim, 1, 30_000));
            }
            10 if sim.percent(30) => {
                sim.fired(Fault::ClockFarForward);
                sim.jump(small(&sim, 1, 40) * HOUR);
            }
            10 => {
                sim.fired(Fault::Idle);
                let until = sim.now() + small(&sim, 200, 1_500);
                crowd.idle_until.set(until);
            }
            11 => {
                sim.fired(Fault::ClockBack);
                sim.jump(-small(&sim, 1, 20_000));
            }
            12 if sim.percent(40) => {
                sim.fired(Fault::DueAtOnce);
                storms += 1;
                crowd.storm(storms);
            }
            _ => behind(&sim, &world),
        }
    }
}

/// Takes note of a ledger that is ahead of the wall clock.
fn behind(sim: &Sim, world: &Embedded) {
    let life = world.door.life();
    if life.is_some_and(|life| life.engine.now() > sim.clock().now()) {
        sim.saw(Sometimes::ClockBehind);
    }
}

fn small(sim: &Sim, first: u64, last: u64) -> i64 {
    i64::try_from(sim.between(first, last)).unwrap()
}
