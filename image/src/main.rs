//! What the appliance is made of, and how it is built, run and tested.

fn main() {}
