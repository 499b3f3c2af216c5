//! The store in memory against a real server: the same calls to both, and every reply and everything
//! that is stored compared byte by byte.

use holdfast::ledger::remote::script::{BATCH, inlined};
use redis::{Connection, Value};

use crate::fake_store::socket::Socket;
use crate::faults::{LATER, commands, encoded, failing_at};
use crate::partition::{Host, Partition};
use crate::server::{Kind, Server};
use crate::support::check::START;
use crate::support::history::Maker;
use crate::{batches, dated};

impl Host for Socket {
    fn connect(&self) -> Connection {
        Self::connect(self)
    }

    fn url(&self) -> String {
        Self::url(self)
    }
}

/// A partition here and one there.
struct Both {
    real: Partition,
    fake: Partition,
}

impl Both {
    fn of(server: &Server, socket: &Socket, source: &str) -> Self {
        Self {
            real: Partition::fresh(server, source, 0),
            fake: Partition::fresh(socket, source, 0),
        }
    }

    /// Does the same with both.
    fn each<T>(&mut self, mut what: impl FnMut(&mut Partition) -> T) -> [T; 2] {
        [what(&mut self.real), what(&mut self.fake)]
    }

    /// Whether everything was the same so far, and is.
    fn compare(&mut self, what: &str) {
        let replies = self.real.replies.iter().zip(&self.fake.replies);
        let first = { replies }.position(|(real, fake)| real != fake);
        if let Some(at) = first {
            let (real, fake) = (&self.real.replies[at], &self.fake.replies[at]);
            panic!("{what}: reply {at} differs\n  real: {real:?}\n  fake: {fake:?}");
        }
        assert_eq!(self.real.replies.len(), self.fake.replies.len(), "{what}");
        let [real, fake] = self.each(Partition::dump);
        assert_eq!(real.len(), fake.len(), "{what}: keys");
        for (real, fake) in real.iter().zip(&fake) {
            assert_eq!(real, fake, "{what}: what is stored");
        }
    }
}

#[test]
fn histories_leave_the_same_bytes() {
    let (server, socket) = (Server::start(Kind::Redis), Socket::start());
    let mut both = Both::of(&server, &socket, BATCH);
    for seed in 0..8 {
        let mut maker = Maker::new(seed);
        maker.policies = seed % 4 >= 2;
        maker.share_moves = if maker.policies { 8 } else { 1 };
        let history = maker.history(1_000);
        for done in both.each(|partition| batches::run(partition, seed, &history)) {
            assert!(done.is_ok(), "seed {seed}: {done:?}");
        }
        both.compare(&format!("seed {seed}"));
    }
}

#[test]
fn histories_of_dated_supply_leave_the_same_bytes() {
    let (server, socket) = (Server::start(Kind::Redis), Socket::start());
    let mut both = Both::of(&server, &socket, BATCH);
    for seed in 0..4 {
        let done = both.each(|partition| dated::run(partition, seed));
        assert_eq!(done, [Ok(()), Ok(())], "seed {seed}");
        both.compare(&format!("seed {seed}"));
    }
}

/// What stands after a call that fails is what was written before it.
#[test]
fn a_script_that_fails_leaves_the_same_writes() {
    let (server, socket) = (Server::start(Kind::Redis), Socket::start());
    let scripts = commands(5, 400);
    let (before, last) = scripts.split_at(300);
    let (before, last) = (encoded(before), encoded(last));
    let mut both = Both::of(&server, &socket, BATCH);
    for call in 1.. {
        let source = inlined(&failing_at(BATCH, call));
        let [real, fake] = both.each(|partition| {
            partition.clear(0);
            partition.script = redis::Script::new(&inlined(BATCH));
            partition.call(START, &before).unwrap();
            partition.script = redis::Script::new(&source);
            partition.call(LATER, &last).is_ok()
        });
        both.compare(&format!("call {call}"));
        assert_eq!(real, fake);
        if real {
            assert!(call > 10);
            break;
        }
    }
}

/// What a script returns, and what a plain command does, each for itself.
const SCRIPTS: [&str; 24] = [
    "return {1, nil, 3}",
    "return 3.99",
    "return {true, false, '', -1}",
    "return 9007199254740993",
    "return 1e15 + 1 .. ''",
    "redis.call('HSET', 'a')",
    "#!lua\nredis.call('HSET', KEYS[1], 'a', 1)\nredis.call('HGET', KEYS[2], 'a')\nerror('no')",
    "#!lua\nredis.call('HSET', KEYS[1], 'a', 'x')\nlocal a = nil\nreturn a.b",
    "#!lua\n\nerror({ err = 'ODD this' })",
    "#!lua\nredis.call('HSET', KEYS[1], 'b', 1)\nredis.call('HINCRBY', KEYS[1], 'a', 1)",
    "return redis.error_reply('TORN it is')",
    "return redis.pcall('HGET', KEYS[3], 'a')",
    "return redis.status_reply('OK')",
    "return redis.sha1hex('holdfast')",
    "return cmsgpack.pack({1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 2^53, 0})",
    "return cmsgpack.pack({-1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649})",
    "return cmsgpack.pack({0.5, 0.1, 1e300, -0.0, {}, {a = 1}, {[2] = 1}, true, string.rep('x', 300)})",
    "return cmsgpack.pack(string.rep('x', 31), string.rep('y', 32), nil, false)",
    "return {cmsgpack.unpack(cmsgpack.pack(1, 'a', {2, {3}}))}",
    "return {cmsgpack.unpack_one(cmsgpack.pack(7, 8))}",
    "return {cmsgpack.unpack_one(cmsgpack.pack(7, 8), 1)}",
    "return {struct.pack('<BI6i3c0', 200, 2^40, -2, 'text'), struct.unpack('<BI2i2', '\\1\\2\\3\\255\\255')}",
    "return {struct.unpack('<I1c0B', '\\3abc\\9', 1)}",
    "return redis.call('HSET', KEYS[1], 'n', 0.1, 'm', 2^53, 'o', 12345678)",
];

const COMMANDS: [&str; 28] = [
    "HGETALL hash",
    "HMGET hash a nothing b",
    "HSETNX hash a 5",
    "HEXISTS hash a",
    "HDEL hash a nothing",
    "HLEN hash",
    "HSET hash a",
    "HGET set a",
    "ZADD set 2 b 1 a 1700000000000 c",
    "ZADD set 3 b",
    "ZRANGE set 0 -1 WITHSCORES",
    "ZRANGEBYSCORE set -inf 3 LIMIT 1 5",
    "ZCOUNT set (1 +inf",
    "ZREM set a nothing",
    "XADD stream 5-0 f v",
    "XADD stream 5-0 f v",
    "XADD stream 7-0 f v",
    "XRANGE stream - + COUNT 1",
    "XREVRANGE stream + 6",
    "XREAD COUNT 3 STREAMS stream 5",
    "XTRIM stream MINID 6",
    "XADD stream 6-1 f v",
    "TYPE stream",
    "RENAME hash other",
    "RENAME hash other",
    "PERSIST other",
    "UNLINK other nothing",
    "EXISTS other stream set",
];

/// A reply, or the error in words; its place in a script stands there as well.
fn said(reply: Result<Value, redis::RedisError>) -> Result<Value, String> {
    reply.map_err(|error| error.to_string())
}

#[test]
fn scripts_and_commands_answer_the_same() {
    let (server, socket) = (Server::start(Kind::Redis), Socket::start());
    let ask = |connection: &mut Connection| {
        let mut said_by_it = Vec::new();
        redis::cmd("ZADD")
            .arg("set")
            .arg(1)
            .arg("a")
            .exec(connection)
            .unwrap();
        for script in SCRIPTS {
            let mut call = redis::cmd("EVAL");
            call.arg(script).arg(3).arg("hash").arg("none").arg("set");
            said_by_it.push((script, said(call.query(connection))));
        }
        for line in COMMANDS {
            let mut call = redis::Cmd::new();
            line.split(' ').for_each(|word| {
                call.arg(word);
            });
            said_by_it.push((line, said(call.query(connection))));
        }
        said_by_it
    };
    let (real, fake) = (ask(&mut server.connect()), ask(&mut socket.connect()));
    for (real, fake) in real.into_iter().zip(fake) {
        assert_eq!(real, fake);
    }
}
