//! Reports as one HTML file that needs nothing else: no server, no network, no other file.
//!
//! A [`Page`] is text, tables and charts in sections. It is drawn as HTML, whose charts react to mouse
//! and keyboard, or as Markdown, which has their tables alone. Nothing here knows what was measured: names, units and
//! numbers come from the caller, and every text is anybody's, so it is escaped. The same page gives the
//! same bytes.

pub mod chart;
mod html;
pub mod markdown;
mod page;
mod picture;
mod policy;
#[cfg(feature = "png")]
mod raster;
mod reduce;

pub use page::{Block, Cell, DataFile, Page, Section, Table, Tone};
pub use picture::{Draftsman, DrawError, Picture};
#[cfg(feature = "png")]
pub use raster::Raster;
pub use reduce::reduced;
