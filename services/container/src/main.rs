//! A container's life, and the runtime that enters it.

fn main() {}
