//! Colour for a terminal, where there is one.
//!
//! In: text that is already escaped, and whether colour is wanted. Out: the text between SGR sequences (ECMA-48 section 8.3.117), or
//! the text alone. Nothing here is needed to understand an output: every colour stands beside a word.

use crate::model::Severity;

/// Whether outputs are painted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A heading.
    pub(super) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What may be passed over.
    pub(super) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// What is wrong.
    pub(super) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What needs a look.
    pub(super) fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What is as it should be.
    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// A text in the colour of a severity.
    pub(super) fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::High => self.with("1;31", text),
            Severity::Medium => self.with("33", text),
            Severity::Low => self.with("36", text),
        }
    }
}
