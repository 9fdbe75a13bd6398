//! No code: its `Cargo.toml` gives all packages the same features of their dependencies.
