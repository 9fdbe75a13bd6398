//! The services that a run needs: stand-ins that come with the tools, in processes of their own.

pub mod embedded;
mod error;
pub mod proxy;

pub use error::ServiceError;
