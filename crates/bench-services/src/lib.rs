//! The services that a run needs: stand-ins that come with the tools, and real servers on this
//! machine, in processes of their own.

pub mod embedded;
mod error;
pub mod lambda;
pub mod local;
pub mod proxy;
mod random;

pub use error::ServiceError;
