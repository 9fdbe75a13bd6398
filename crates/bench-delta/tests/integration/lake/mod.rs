//! Locations of tables: folders and S3, and what can be wrong with them.

mod folder;
mod race;
mod s3;
mod servers;
mod stand_in;
