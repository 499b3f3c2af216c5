//! PostgreSQL, driven by its own load generator, `pgbench`: prepared statements, a connection for
//! each client. That is as good as a client gets, and no library of ours is in the figure.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Load;
use crate::Failure;
use crate::machine::children_seconds;
use crate::server::{Durability, Scratch};
use crate::tally::{Report, Tally};
use crate::template::{Choice, SKUS};

const RESERVE: &str = include_str!("postgres.sql");

/// Clients at once. More of them wait for the same row, or for the processor, and make it slower.
const CLIENTS_HOT: &str = "8";
const CLIENTS_SPREAD: &str = "32";

/// A server with a folder of its own.
struct Postgres {
    programs: PathBuf,
    child: Child,
    folder: Scratch,
}

/// Runs the load on a fresh server. `None`: it is not installed.
pub(crate) fn run(
    scratch: &Path,
    level: Durability,
    load: Load,
) -> Result<Option<Report>, Failure> {
    let Some(programs) = programs() else {
        return Ok(None);
    };
    let server = Postgres::start(programs, scratch, level)?;
    let skus = match load.choice {
        Choice::Hot => 1,
        Choice::Spread => SKUS,
    };
    server.sql(&format!(
        "CREATE TABLE stock (sku int PRIMARY KEY, on_hand bigint NOT NULL, held bigint NOT NULL);
         CREATE TABLE reservation (key text PRIMARY KEY, sku int NOT NULL, units int NOT NULL,
             state smallint NOT NULL DEFAULT 0, deadline timestamptz NOT NULL);
         CREATE INDEX ON reservation (deadline) WHERE state = 0;
         INSERT INTO stock SELECT n, 1000000000, 0 FROM generate_series(1, {skus}) n;"
    ))?;
    server.sql("VACUUM ANALYZE stock")?;
    server.sql("CHECKPOINT")?;
    server.load(load, skus, "warm-up", whole_seconds(load.times.warmup()))?;
    let cpu_before = children_seconds();
    let measured = whole_seconds(load.times.measured());
    let mut tally = server.load(load, skus, "measured", measured)?;
    let seconds = measured.as_secs_f64();
    let cores = (children_seconds() - cpu_before) / seconds;
    let held = server.sql("SELECT sum(held) FROM stock")?;
    let rows = server.sql("SELECT count(*) FROM reservation")?;
    if held != rows {
        return Err(format!("{held} units are held, {rows} reservations are there").into());
    }
    tally.reserved_ever = rows.parse()?;
    Ok(Some(tally.report(seconds, cores)))
}

/// Where the programs of the newest version are.
fn programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.and_then(|output| String::from_utf8(output.stdout).ok());
    let usual = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let usual = usual.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let all = told.map(|folder| PathBuf::from(folder.trim()));
    all.into_iter()
        .chain(usual)
        .filter(|folder| folder.join("initdb").is_file() && folder.join("pgbench").is_file())
        .max()
}

/// The user as whom it must run where this program runs as root, which it refuses.
fn user() -> Option<(u32, u32)> {
    let number = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let me: u32 = number(&["-u"])?;
    if me == 0 {
        Some((number(&["-u", "postgres"])?, number(&["-g", "postgres"])?))
    } else {
        None
    }
}

/// The times that `pgbench` takes.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().max(1))
}

fn done(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{command:?}: {}", text(&output.stderr)).into())
}

impl Postgres {
    fn start(programs: PathBuf, scratch: &Path, level: Durability) -> Result<Self, Failure> {
        let folder = Scratch::new(scratch, "postgres")?;
        let data = folder.0.join("data");
        let mut make = Command::new(programs.join("initdb"));
        make.args([
            "--auth",
            "trust",
            "--username",
            "loadtest",
            "--no-sync",
            "-D",
        ])
        .arg(&data);
        let commit = match level {
            Durability::Disk | Durability::Replica => "synchronous_commit=on",
            Durability::Memory | Durability::Os => "synchronous_commit=off",
        };
        let mut serve = Command::new(programs.join("postgres"));
        serve
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder.0)
            .args(["-c", "listen_addresses=", "-c", commit])
            .args(["-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some((user, group)) = user() {
            chown(&folder.0, Some(user), Some(group))?;
            make.uid(user).gid(group);
            serve.uid(user).gid(group);
        }
        // It must not look at what the caller's folder forbids it.
        done(make.current_dir(&folder.0))?;
        serve.current_dir(&folder.0);
        let child = serve.spawn().map_err(|e| format!("{serve:?}: {e}"))?;
        let mut server = Self {
            programs,
            child,
            folder,
        };
        server.is_ready()?;
        Ok(server)
    }

    fn is_ready(&mut self) -> Result<(), Failure> {
        let log = self.child.stderr.take().ok_or("no standard error")?;
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let mut said = Vec::new();
        for line in lines.by_ref() {
            if line.contains("ready to accept connections") {
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
            said.push(line);
        }
        Err(format!("PostgreSQL did not start: {}", said.join("\n")).into())
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .arg("-h")
            .arg(&self.folder.0)
            .args(["-U", "loadtest"]);
        command
    }

    fn sql(&self, text: &str) -> Result<String, Failure> {
        let mut command = self.client("psql");
        done(command.args(["-v", "ON_ERROR_STOP=1", "-At", "-d", "postgres", "-c", text]))
    }

    /// One run; its transactions and how long each took.
    fn load(&self, load: Load, skus: u64, run: &str, time: Duration) -> Result<Tally, Failure> {
        let script = self.folder.0.join("reserve.sql");
        fs::File::create(&script)?.write_all(RESERVE.as_bytes())?;
        let log = self.folder.0.join(run);
        let clients = match load.choice {
            Choice::Hot => CLIENTS_HOT,
            Choice::Spread => CLIENTS_SPREAD,
        };
        let mut command = self.client("pgbench");
        command
            .args(["-n", "-M", "prepared", "-c", clients])
            .args(["-j", &load.threads.to_string()])
            .args(["-T", &time.as_secs().to_string()])
            .args(["-D", &format!("skus={skus}"), "-D", "n=0"])
            .args(["-D", &format!("run={run}"), "-l"])
            .arg(format!("--log-prefix={}", log.display()))
            .arg("-f")
            .arg(&script)
            .arg("postgres");
        done(&mut command)?;
        let mut tally = Tally::new()?;
        for entry in fs::read_dir(&self.folder.0)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(run) {
                count(&fs::read_to_string(entry.path())?, &mut tally)?;
            }
        }
        Ok(tally)
    }
}

/// Counts the transactions of a log: client, number, microseconds and more on each line.
fn count(log: &str, tally: &mut Tally) -> Result<(), Failure> {
    for line in log.lines() {
        let took = line.split(' ').nth(2).ok_or("a log without times")?;
        tally.accepted.add(1, Duration::from_micros(took.parse()?));
    }
    Ok(())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_counted_line_by_line() {
        let mut tally = Tally::new().unwrap();
        count(
            "0 1 1500 0 1700000000 5\n1 1 2500 0 1700000000 9\n",
            &mut tally,
        )
        .unwrap();
        let report = tally.report(1.0, 0.0);
        assert_eq!(report.accepted.count, 2);
        assert!(report.accepted.max_ms >= 2.5, "{report:?}");
        assert!(count("nonsense", &mut Tally::new().unwrap()).is_err());
    }
}
