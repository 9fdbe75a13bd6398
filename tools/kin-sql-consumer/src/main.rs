//! Measures what has landed in MySQL.

fn main() {}
