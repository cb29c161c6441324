//! What is wrong with a policy file: place, object, path, reason and remedy.

use std::fmt;

/// One mistake in a policy file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: Box<str>,
    /// The line, from 1.
    pub line: usize,
    /// Which document of the file, from 1.
    pub document: usize,
    /// `NetworkPolicy shop/allow-dns`; empty before that is known.
    pub object: Box<str>,
    /// `spec.egress[0].to[1]`; empty for the whole document.
    pub path: Box<str>,
    /// What is wrong and what to write.
    pub message: Box<str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {} (document {})", self.file, self.line, self.document)?;
        if !self.object.is_empty() {
            write!(f, ": {}", self.object)?;
        }
        if !self.path.is_empty() {
            write!(f, ": `{}`", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every mistake that was found; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// In the order of files and lines.
    pub problems: Vec<Problem>,
}

/// How many mistakes are printed.
const SHOWN_MAX: usize = 20;

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().take(SHOWN_MAX).enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.problems.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for PolicyError {}
