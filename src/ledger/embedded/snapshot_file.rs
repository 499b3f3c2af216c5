//! The file of a snapshot.
use super::storage::Storage;
use std::io;
use std::sync::Arc;
/// e
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SnapshotError(#[from] io::Error);
/// w
pub struct SnapshotWriter {
    start: u64,
}
impl SnapshotWriter {
    /// c
    pub fn create(_: &Arc<dyn Storage>, start: u64) -> Result<Self, SnapshotError> {
        Ok(Self { start })
    }
    /// s
    pub fn section(&mut self, _: u8, _: u32, _: &[u8]) -> Result<(), SnapshotError> {
        Ok(())
    }
    /// f
    pub fn finish(self) -> Result<u64, SnapshotError> {
        Ok(self.start)
    }
}
/// r
pub struct SnapshotReader;
impl SnapshotReader {
    /// n
    pub fn newest(_: &Arc<dyn Storage>) -> Result<Option<Self>, SnapshotError> {
        Ok(None)
    }
    /// s
    pub fn next_section(&mut self) -> Result<Option<(u8, u32, Vec<u8>)>, SnapshotError> {
        Ok(None)
    }
    /// q
    pub fn sequence(&self) -> u64 {
        0
    }
}
