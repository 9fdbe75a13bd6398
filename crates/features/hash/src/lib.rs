//! No code: `Cargo.toml` gives all packages the same features of their dependencies.
