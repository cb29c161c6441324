//! What a destination is for, and which rule says so.
//!
//! In: one destination, the catalog and the user's settings. Out: a category with the rule that decided. A function
//! of its arguments: no file, no clock. Suspicion is another question, answered in `detect`.

mod classification;
mod destination;

pub use classification::{Classification, classify};
pub use destination::{Destination, Rules};
