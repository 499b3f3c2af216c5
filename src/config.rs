//! Configuration: defaults, file, environment, flags; read once, checked as a whole.
