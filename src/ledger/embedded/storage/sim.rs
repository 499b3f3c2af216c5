//! A simulated storage.
/// Placeholder.
pub struct SimStorage;
