//! Names of nodes and channels, each with a small index; never forgotten.
