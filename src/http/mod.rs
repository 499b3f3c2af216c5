//! Thin HTTP: parse, one call of the engine, map the answer.
