//! What `replay` prints: a table for the terminal, Markdown, CSV and JSON, all of one view.
//!
//! In: a finished [`Replay`] with the policies it is about. Out: text and columns. Names from outside are escaped.

mod json;
mod rows;
mod text;

pub use json::replay_json;
pub use rows::replay_columns;
pub use text::{replay_markdown, replay_text};

use crate::policy::PolicySet;
use crate::replay::Replay;

/// A replay with everything that explains it.
#[derive(Clone, Debug)]
pub struct ReplayView<'a> {
    /// The outcome.
    pub replay: &'a Replay,
    /// The policies.
    pub set: &'a PolicySet,
    /// Profile by cluster.
    pub profiles: Vec<(Box<str>, &'static str)>,
    /// Sentences that the reader has to know before the numbers.
    pub caveats: Vec<String>,
}
