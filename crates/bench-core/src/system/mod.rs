//! The operating system: its errors in plain words, careful access to the files of a result folder,
//! and the limits at which a process would die without a message.

mod cause;
mod limits;
mod quote;

pub use cause::{cause, ending, explain, plain, remedy};
pub use limits::{refusal, reserve_threads, start_thread_error, survive_file_size_limit};
pub use quote::{QUOTE_MAX, shortened, shortened_lines};
