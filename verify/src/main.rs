//! `holdfast-verify`: checks proofs of holdfast, without holdfast.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use holdfast_verify::{Proof, Refusal, verify};
use serde_json::{Value, json};

const HELP: &str = "\
Checks proofs of holdfast, without holdfast: the files that `holdfast prove export` writes.

Usage: holdfast-verify [--json] [--expect HASH] FILE...

Several files are checked in order, and that each begins where the one before ends.

Options:
      --expect HASH  The last hash of the last file, as it was published
      --json         Print for programs
  -h, --help         Print this
  -V, --version      Print the version

Exit code: 0 everything fits, 1 a line does not fit, 2 it could not be judged
";

/// Buffer for reading.
const BUFFER_BYTES: usize = 1 << 20;

/// What is asked for.
#[derive(Default)]
struct Asked {
    files: Vec<PathBuf>,
    expect: Option<String>,
    json: bool,
}

/// What to do.
enum Command {
    Check(Asked),
    Print(String),
}

fn main() -> ExitCode {
    match command(std::env::args_os().skip(1)) {
        Err(mistake) => {
            note(&format!("holdfast-verify: {mistake}\n\n{HELP}"));
            ExitCode::from(2)
        }
        Ok(Command::Print(text)) => tell(&text),
        Ok(Command::Check(asked)) => check(&asked),
    }
}

fn command(arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut asked = Asked::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--json") => asked.json = true,
            Some("--expect") => {
                let hash = arguments.next().and_then(|hash| hash.into_string().ok());
                asked.expect = Some(hash.ok_or("--expect needs a hash")?);
            }
            Some("-h" | "--help") => return Ok(Command::Print(HELP.to_owned())),
            Some("-V" | "--version") => {
                let version = env!("CARGO_PKG_VERSION");
                return Ok(Command::Print(format!("holdfast-verify {version}\n")));
            }
            Some(flag) if flag.starts_with('-') => return Err(format!("no option {flag}")),
            _ => asked.files.push(argument.into()),
        }
    }
    if asked.files.is_empty() {
        return Err("no file".to_owned());
    }
    Ok(Command::Check(asked))
}

/// Why something is not accepted.
struct Refused {
    file: PathBuf,
    why: String,
    rejection: Value,
    /// It was judged; else it could not be.
    is_judged: bool,
}

fn check(asked: &Asked) -> ExitCode {
    match checked(asked) {
        Ok(proofs) => tell(&accepted(asked, &proofs)),
        Err(refused) => {
            let Refused {
                file,
                why,
                rejection,
                is_judged,
            } = refused;
            let file = file.display().to_string();
            if asked.json {
                let said = json!({
                    "accepted": false,
                    "file": file,
                    "why": why,
                    "rejection": rejection,
                });
                tell(&format!("{said:#}\n"));
            } else {
                note(&format!("holdfast-verify: {file} {why}\n"));
            }
            ExitCode::from(if is_judged { 1 } else { 2 })
        }
    }
}

fn checked(asked: &Asked) -> Result<Vec<Proof>, Refused> {
    let mut proofs: Vec<Proof> = Vec::new();
    for file in &asked.files {
        let proof = read(file).map_err(|refusal| refused(file, &refusal))?;
        if let Some(before) = proofs.last()
            && (before.ledger != proof.ledger || before.closing != proof.opening)
        {
            return Err(unfit(file, "does not begin where the file before ends"));
        }
        proofs.push(proof);
    }
    if let (Some(expected), Some(last), Some(file)) =
        (&asked.expect, proofs.last(), asked.files.last())
        && !expected.eq_ignore_ascii_case(&last.hash)
    {
        let why = format!("ends with the hash {}, not {expected}", last.hash);
        return Err(unfit(file, &why));
    }
    Ok(proofs)
}

fn read(file: &Path) -> Result<Proof, Refusal> {
    verify(BufReader::with_capacity(BUFFER_BYTES, File::open(file)?))
}

fn unfit(file: &Path, why: &str) -> Refused {
    Refused {
        file: file.to_owned(),
        why: why.to_owned(),
        rejection: Value::Null,
        is_judged: true,
    }
}

fn refused(file: &Path, refusal: &Refusal) -> Refused {
    let rejection = match refusal {
        Refusal::Rejected(at) => json!({
            "line": at.line,
            "shard": at.shard,
            "sequence": at.sequence,
            "found": at.found,
            "expected": at.expected,
        }),
        Refusal::Unreadable(_) | Refusal::Other | Refusal::Version(_) => Value::Null,
    };
    Refused {
        file: file.to_owned(),
        why: refusal.to_string(),
        is_judged: !rejection.is_null(),
        rejection,
    }
}

fn accepted(asked: &Asked, proofs: &[Proof]) -> String {
    let of = |(file, proof): (&PathBuf, &Proof)| {
        json!({
            "file": file.display().to_string(),
            "ledger": proof.ledger,
            "records": proof.records,
            "reservations_made": proof.made,
            "skus": proof.skus,
            "reservations": proof.reservations,
            "hash": proof.hash,
        })
    };
    if asked.json {
        let files: Vec<Value> = asked.files.iter().zip(proofs).map(of).collect();
        return format!("{:#}\n", json!({ "accepted": true, "proofs": files }));
    }
    let told = |(file, proof): (&PathBuf, &Proof)| {
        let Proof {
            records,
            made,
            skus,
            reservations,
            hash,
            ..
        } = proof;
        let file = file.display();
        format!(
            "{file}: accepted\n  {records} records, {made} reservations made\n  \
             at the end {skus} SKUs, {reservations} reservations\n  hash {hash}\n"
        )
    };
    asked.files.iter().zip(proofs).map(told).collect()
}

/// Prints a result. A reader that has gone away is no failure.
fn tell(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(2),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn note(text: &str) {
    // A closed standard error leaves nobody to tell.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
