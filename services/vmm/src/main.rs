//! The machine monitor: one process per VM.

fn main() {}
