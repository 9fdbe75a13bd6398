//! Delta.

fn main() {}
