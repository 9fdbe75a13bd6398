//! Rows written, read and checked in an embedded `DynamoDB` and a real `MariaDB`.

mod landing;
mod tables;
