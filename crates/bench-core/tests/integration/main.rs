//! What files and messages from outside may hold, and who else can read what is written here.

mod hlog_python;
mod hostile;
mod schema;
