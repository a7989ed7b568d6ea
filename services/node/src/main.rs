//! The privileged side: implements the API by calling the managers.

fn main() {}
