//! Paths of what a tool is to write at its end. Those that cannot work are found on the command line.

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};

/// Parses the path of a file, in a folder that exists.
#[must_use]
pub fn place_of_file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if path.is_dir() {
            return Err("it is a folder; name a file in it".to_owned());
        }
        match folder {
            Some(folder) if !folder.is_dir() => {
                Err(format!("there is no folder {}; create it first", folder.display()))
            }
            _ => Ok(path),
        }
    })
}

/// Parses the path of a folder, which need not exist.
#[must_use]
pub fn place_of_folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let is_file = path.exists() && !path.is_dir();
        if is_file { Err("it is a file; name a folder".to_owned()) } else { Ok(path) }
    })
}
