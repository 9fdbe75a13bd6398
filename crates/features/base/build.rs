//! Does nothing: only a build script makes the features of build dependencies count.

fn main() {}
