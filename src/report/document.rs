//! A Markdown document under construction: blocks with exactly one empty line between them.

use super::table::Table;

/// Collects blocks of Markdown. Every text that comes in is already escaped.
#[derive(Debug, Default)]
pub(super) struct Document {
    text: String,
    in_list: bool,
}

impl Document {
    fn block(&mut self, text: &str) {
        self.in_list = false;
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
        if !text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// A heading of `level` 1 to 6.
    pub(super) fn heading(&mut self, level: usize, text: &str) {
        self.block(&format!("{} {text}", "#".repeat(level)));
    }

    /// A paragraph on one line.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.block(text);
    }

    /// One item of a list.
    pub(super) fn bullet(&mut self, text: &str) {
        self.item("-", text);
    }

    /// One item of a numbered list.
    pub(super) fn numbered(&mut self, number: usize, text: &str) {
        self.item(&format!("{number}."), text);
    }

    fn item(&mut self, marker: &str, text: &str) {
        let line = format!("{marker} {text}\n");
        if self.in_list {
            self.text.push_str(&line);
        } else {
            self.block(&line);
            self.in_list = true;
        }
    }

    /// A table; nothing when it has no rows.
    pub(super) fn table(&mut self, table: &Table) {
        if !table.is_empty() {
            self.block(&table.to_markdown());
        }
    }

    /// A fenced block of code. No line of `text` may begin with a fence.
    pub(super) fn fenced(&mut self, language: &str, text: &str) {
        self.block(&format!("```{language}\n{}\n```", text.trim_end()));
    }

    /// The text, ended by one newline.
    pub(super) fn finish(self) -> String {
        self.text
    }
}
