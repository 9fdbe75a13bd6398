//! Tables in folders, on an embedded S3 and on real servers, written and read by the adapter.

mod damage;
mod lake;
mod maintenance;
mod names;
mod python;
mod receive;
mod receive_published;
mod receive_s3;
mod table;
