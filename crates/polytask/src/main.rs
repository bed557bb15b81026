//! The `polytask` command.
fn main() {}
