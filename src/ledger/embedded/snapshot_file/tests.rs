//! Snapshots that are damaged, cut off or never finished.

use super::*;
use crate::ledger::embedded::storage::sim::{Dice, Fault, Loss, SimStorage, Site};

fn write(sim: &SimStorage, sequence: u64) -> Result<SnapshotInfo, SnapshotError> {
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let mut writer = SnapshotWriter::create(&storage, sequence)?;
    writer.section(1, 0, b"names")?;
    writer.section(2, 0, &sequence.to_le_bytes().repeat(200))?;
    writer.section(2, 1, b"")?;
    writer.finish()
}

type Sections = Vec<(u8, u32, Vec<u8>)>;

fn read(sim: &SimStorage) -> Result<Option<(u64, Sections)>, SnapshotError> {
    let Some(mut reader) = SnapshotReader::newest(sim)? else {
        return Ok(None);
    };
    let mut sections = Vec::new();
    while let Some(section) = reader.next_section()? {
        sections.push((section.kind, section.index, section.bytes.to_vec()));
    }
    Ok(Some((reader.sequence(), sections)))
}

fn content(sequence: u64) -> Sections {
    let body = sequence.to_le_bytes().repeat(200);
    vec![(1, 0, b"names".to_vec()), (2, 0, body), (2, 1, Vec::new())]
}

#[test]
fn two_generations_are_kept_and_the_newest_is_read() {
    let sim = SimStorage::new();
    assert_eq!(read(&sim).unwrap(), None);
    assert_eq!(write(&sim, 10).unwrap().oldest_kept, 0);
    assert_eq!(write(&sim, 20).unwrap().oldest_kept, 10);
    assert_eq!(write(&sim, 30).unwrap().oldest_kept, 20);
    assert_eq!(sim.files().len(), 2);
    assert_eq!(read(&sim).unwrap(), Some((30, content(30))));
}

#[test]
fn every_bit_flip_is_noticed_and_the_older_generation_serves() {
    let sim = SimStorage::new();
    write(&sim, 10).unwrap();
    let single = sim.files();
    write(&sim, 20).unwrap();
    let whole = sim.files();
    for bit in 0..whole[&name_of(20)].len() * 8 {
        let mut files = whole.clone();
        files.get_mut(&name_of(20)).unwrap()[bit / 8] ^= 1 << (bit % 8);
        let found = read(&SimStorage::with_files(files)).unwrap();
        assert_eq!(found, Some((10, content(10))), "bit {bit}");
    }
    for bit in (0..single[&name_of(10)].len() * 8).step_by(16) {
        let mut files = single.clone();
        files.get_mut(&name_of(10)).unwrap()[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&SimStorage::with_files(files)).is_err(), "bit {bit}");
    }
}

#[test]
fn a_crash_at_any_moment_leaves_the_old_or_the_new_one() {
    let sim = SimStorage::new();
    write(&sim, 10).unwrap();
    let first = sim.moment();
    write(&sim, 20).unwrap();
    let finished = sim.moment();
    write(&sim, 30).unwrap();
    let mut crashes = sim.crashes();
    let mut dice = Dice::new(11);
    let mut images = 0;
    while crashes.advance() {
        let moment = crashes.moment();
        let least = [(first, 10), (finished, 20)];
        let least = least
            .iter()
            .rfind(|(since, _)| moment >= *since)
            .map_or(0, |it| it.1);
        for loss in Loss::ALL.repeat(20) {
            let image = SimStorage::with_files(crashes.image(loss, &mut dice));
            let found = read(&image).unwrap();
            assert!(found.as_ref().map_or(0, |found| found.0) >= least);
            assert!(found.is_none_or(|found| found.1 == content(found.0)));
            images += 1;
        }
    }
    assert!(images > 1_000);
}

#[test]
fn a_fault_at_any_site_is_reported_and_leaves_the_old_one() {
    for site in Site::ALL {
        for after in 0..2 {
            let sim = SimStorage::new();
            write(&sim, 10).unwrap();
            write(&sim, 20).unwrap();
            sim.fail(Fault {
                site,
                after,
                kind: std::io::ErrorKind::Other,
                stays: true,
            });
            let written = write(&sim, 30);
            assert_eq!(written.is_err(), sim.fired() > 0, "{site:?} {after}");
            assert!(after > 0 || sim.fired() > 0, "{site:?} did not fire");
            let found = read(&sim).unwrap().unwrap();
            assert_eq!(found.1, content(found.0));
            assert!(found.0 >= 20);
        }
    }
}

#[test]
fn a_failed_snapshot_leaves_nothing_behind() {
    for site in [Site::Write, Site::Sync, Site::Rename] {
        let sim = SimStorage::new();
        write(&sim, 10).unwrap();
        let before = sim.files();
        sim.fail(Fault {
            site,
            after: 0,
            kind: std::io::ErrorKind::StorageFull,
            stays: false,
        });
        write(&sim, 20).unwrap_err();
        assert_eq!(sim.files(), before, "{site:?}");
    }
}

#[test]
fn what_a_killed_process_left_of_a_snapshot_is_removed() {
    let sim = SimStorage::new();
    write(&sim, 10).unwrap();
    let before = sim.files();
    remove_unfinished(&sim).unwrap();
    sim.create(TEMPORARY_NAME).unwrap();
    remove_unfinished(&sim).unwrap();
    assert_eq!(sim.files(), before);
}

#[test]
fn another_version_is_refused_by_number() {
    let sim = SimStorage::new();
    write(&sim, 10).unwrap();
    let mut files = sim.files();
    for other in [VERSION - 1, VERSION + 1] {
        let snapshot = files.values_mut().next().unwrap();
        snapshot[8..12].copy_from_slice(&other.to_le_bytes());
        let crc = crc32c::crc32c(&snapshot[..28]);
        snapshot[28..32].copy_from_slice(&crc.to_le_bytes());
        let refused = read(&SimStorage::with_files(files.clone())).unwrap_err();
        let said = format!("format version {other}; this program reads version {VERSION}");
        assert!(refused.to_string().contains(&said), "{refused}");
    }
}
