//! Structured log lines: one JSON object each, to wherever the program says.
//!
//! In: a level, an event, and its fields. Out: a line. Text from outside is escaped by JSON; nothing here decides what is worth
//! telling.

use std::fmt::Display;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use super::run::Clock;

/// Where log lines go.
#[derive(Clone)]
pub struct Journal {
    out: Arc<Mutex<dyn Write + Send>>,
    clock: Clock,
}

impl Journal {
    /// A journal that writes to `out`.
    pub fn new(out: impl Write + Send + 'static, clock: Clock) -> Self {
        Self { out: Arc::new(Mutex::new(out)), clock }
    }

    /// Something that happened as it should.
    pub fn info(&self, event: &str, fields: &[(&str, &dyn Display)]) {
        self.line("info", event, fields);
    }

    /// Something that somebody should look at.
    pub fn warn(&self, event: &str, fields: &[(&str, &dyn Display)]) {
        self.line("warn", event, fields);
    }

    fn line(&self, level: &str, event: &str, fields: &[(&str, &dyn Display)]) {
        let mut line = serde_json::Map::new();
        line.insert("time".to_owned(), (self.clock)().to_string().into());
        line.insert("level".to_owned(), level.into());
        line.insert("event".to_owned(), event.into());
        for (key, value) in fields {
            line.insert((*key).to_owned(), value.to_string().into());
        }
        let text = serde_json::Value::Object(line).to_string();
        // A closed log is no reason to stop collecting.
        drop(writeln!(self.out.lock().unwrap_or_else(PoisonError::into_inner), "{text}"));
    }
}
