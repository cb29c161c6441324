//! Tables that line up in raw text: as Markdown, or with plain spaces for a terminal.
//!
//! In: cells that are already escaped. Out: lines. A cell wider than [`PADDED_MAX`] is printed in full and does not widen
//! the rows around it.

/// Widest padding, in characters.
const PADDED_MAX: usize = 44;

/// A table under construction.
#[derive(Debug)]
pub(super) struct Table {
    header: Vec<&'static str>,
    numeric: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a heading that starts with `#` aligns its column to the right, without the `#`.
    pub(super) fn new(columns: &[&'static str]) -> Self {
        Self {
            header: columns.iter().map(|column| column.trim_start_matches('#')).collect(),
            numeric: columns.iter().map(|column| column.starts_with('#')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing cells are empty, surplus ones are left out.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().collect();
        cells.resize(self.header.len(), String::new());
        self.rows.push(cells);
    }

    /// Whether no row was added.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in Markdown, each line ended.
    pub(super) fn to_markdown(&self) -> String {
        let widths = self.widths(3);
        let mut out = String::new();
        let line = |out: &mut String, cells: Vec<String>| {
            out.push_str("| ");
            out.push_str(&cells.join(" | "));
            out.push_str(" |\n");
        };
        line(&mut out, self.padded(self.header.iter().copied(), &widths));
        let rule = |(width, numeric): (&usize, &bool)| {
            if *numeric { format!("{}:", "-".repeat(width - 1)) } else { "-".repeat(*width) }
        };
        line(&mut out, widths.iter().zip(&self.numeric).map(rule).collect());
        for row in &self.rows {
            line(&mut out, self.padded(row.iter().map(String::as_str), &widths));
        }
        out
    }

    /// The table with two spaces between columns, each line ended.
    pub(super) fn to_plain(&self) -> String {
        let widths = self.widths(1);
        let mut out = String::new();
        let mut line = |cells: Vec<String>| {
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        };
        line(self.padded(self.header.iter().copied(), &widths));
        for row in &self.rows {
            line(self.padded(row.iter().map(String::as_str), &widths));
        }
        out
    }

    fn widths(&self, least: usize) -> Vec<usize> {
        let column = |index: usize, header: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
            cells.filter(|width| *width <= PADDED_MAX).fold(header.chars().count().max(least), usize::max)
        };
        self.header.iter().enumerate().map(|(index, header)| column(index, header)).collect()
    }

    fn padded<'t>(&self, cells: impl Iterator<Item = &'t str>, widths: &[usize]) -> Vec<String> {
        cells
            .zip(widths)
            .zip(&self.numeric)
            .map(
                |((cell, &width), numeric)| {
                    if *numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                },
            )
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_one_long_cell_does_not_widen_the_rest() {
        let mut table = Table::new(&["Name", "#Connections"]);
        table.row(["a".to_owned(), "1,234".to_owned()]);
        table.row(["b".repeat(50), "5".to_owned()]);
        insta::assert_snapshot!(table.to_markdown(), @r"
        | Name | Connections |
        | ---- | ----------: |
        | a    |       1,234 |
        | bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb |           5 |
        ");
        insta::assert_snapshot!(table.to_plain(), @r"
        Name  Connections
        a           1,234
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb            5
        ");
    }
}
