//! The keeper: the only writer of the log.

fn main() {}
