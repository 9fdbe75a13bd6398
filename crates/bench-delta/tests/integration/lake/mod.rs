//! Where tables lie: folders, S3, and what is wrong with them.

mod folder;
mod race;
mod s3;
mod servers;
mod stand_in;
