//! The nestwalk command.
fn main() {}
