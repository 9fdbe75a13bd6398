//! A Delta Lake table as a message queue.
