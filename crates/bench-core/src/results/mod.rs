//! What a run leaves behind, as far as the engine makes it: the result folder as it is written, the
//! figures, the verdict and the warnings.

mod file_system;
mod folder;
mod host;
mod machine;
mod summary;
mod verdict;
mod warnings;

pub use file_system::file_system;
pub use folder::{FolderError, RunFolder};
pub use host::{ResourceMeter, current_host};
pub use summary::SummaryInput;
pub use verdict::verdict;
pub use warnings::warnings;
