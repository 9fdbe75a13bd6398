//! Creates, empties and deletes the landing tables.

fn main() {}
