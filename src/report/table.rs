//! Tables that line up in raw text: as Markdown, or with plain spaces for a terminal.
//!
//! In: cells that are already escaped. Out: lines. A cell wider than [`PADDED_MAX`] is printed in full and does not widen
//! the rows around it.

use std::collections::BTreeMap;

/// Widest padding, in characters.
const PADDED_MAX: usize = 44;
/// A column of a terminal is never made narrower than this, in characters.
const CUT_MIN: usize = 8;

/// A table under construction.
#[derive(Debug)]
pub(super) struct Table {
    header: Vec<&'static str>,
    numeric: Vec<bool>,
    kept: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a heading that starts with `#` aligns its column to the right, without the `#`. On a terminal, a column
    /// whose heading starts with `!` gives way only after all others.
    pub(super) fn new(columns: &[&'static str]) -> Self {
        Self {
            header: columns.iter().map(|column| column.trim_start_matches(['#', '!'])).collect(),
            kept: columns.iter().map(|column| column.starts_with('!')).collect(),
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

    /// The cells of a column.
    pub(super) fn column(&self, index: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(move |row| row.get(index)).map(String::as_str)
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

    /// The table in at most `width` columns where that is possible: the widest columns give way, and their cells lose the middle. Where that
    /// would leave too little of a cell, or make two different cells of a column look alike, the cells of that column go over several lines.
    /// `paint` gets each padded cell with its row (none for the header) and column.
    pub(super) fn to_terminal(&self, width: usize, paint: impl Fn(Option<usize>, usize, &str) -> String) -> String {
        self.to_rows(width, paint).concat()
    }

    /// The header and each row of [`Self::to_terminal`] apart; each is one line or several, ended.
    pub(super) fn to_rows(&self, width: usize, paint: impl Fn(Option<usize>, usize, &str) -> String) -> Vec<String> {
        let widths = self.fitted(width);
        let line = |row: Option<usize>, cells: Vec<String>| {
            // The last cell is not padded: nothing follows it.
            let last = cells.iter().rposition(|cell| !cell.trim_end().is_empty()).map_or(0, |index| index + 1);
            let painted: Vec<String> = (cells.iter().take(last).enumerate())
                .map(|(column, cell)| paint(row, column, if column + 1 == last { cell.trim_end() } else { cell }))
                .collect();
            painted.join("  ") + "\n"
        };
        let block = |row: Option<usize>, cells: Vec<Vec<String>>| -> String {
            let lines = 0..cells.iter().map(Vec::len).max().unwrap_or(1);
            let parts = lines.map(|part| cells.iter().map(move |lines| lines.get(part).map_or("", String::as_str)));
            parts.map(|texts| line(row, self.padded(texts, &widths))).collect()
        };
        let folds =
            |(column, width): (usize, &usize)| self.is_blurred(column, *width) || self.is_maimed(column, *width);
        let folded: Vec<bool> = widths.iter().enumerate().map(folds).collect();
        let header = self.header.iter().zip(&widths).map(|(name, width)| fold(name, *width)).collect();
        let mut blocks = vec![block(None, header)];
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).zip(&folded).map(|((cell, width), is_folded)| {
                if *is_folded { fold(cell, *width) } else { vec![cut_middle(cell, *width)] }
            });
            blocks.push(block(Some(index), cells.collect()));
        }
        blocks
    }

    /// Whether some cell of a column would lose more than a third of itself.
    fn is_maimed(&self, column: usize, width: usize) -> bool {
        self.column(column).any(|cell| cell.chars().count() * 2 > width * 3)
    }

    /// Whether two different cells of a column look alike once they have lost their middle.
    fn is_blurred(&self, column: usize, width: usize) -> bool {
        let mut shown: BTreeMap<String, &str> = BTreeMap::new();
        self.column(column).any(|cell| shown.insert(cut_middle(cell, width), cell).is_some_and(|other| other != cell))
    }

    /// The table for a terminal of `width` columns, without colour.
    pub(super) fn to_plain(&self, width: u16) -> String {
        self.to_terminal(usize::from(width), |_, _, cell| cell.to_owned())
    }

    /// Widths that add up to `width`, as far as no column becomes unreadable. Numbers and the words of headings stay whole.
    fn fitted(&self, width: usize) -> Vec<usize> {
        let least: Vec<usize> = (self.header.iter().zip(&self.numeric).enumerate())
            .map(|(index, (header, numeric))| {
                let content = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max();
                let word = header.split(' ').map(|word| word.chars().count()).max().unwrap_or(0);
                let floor = if *numeric { usize::MAX } else { CUT_MIN.max(word) };
                floor.min(content.unwrap_or(0).max(word))
            })
            .collect();
        let mut widths: Vec<usize> = (self.header.iter().enumerate())
            .map(|(index, header)| {
                let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
                cells.fold(header.chars().count(), usize::max)
            })
            .collect();
        let room = width.saturating_sub(2 * widths.len().saturating_sub(1));
        let mut surplus = widths.iter().sum::<usize>().saturating_sub(room);
        for last_resort in [false, true] {
            while surplus > 0 {
                let columns = widths.iter_mut().zip(least.iter().zip(&self.kept));
                let can_give = columns.filter(|(width, (least, kept))| **width > **least && (last_resort || !**kept));
                let Some((width, _)) = can_give.max_by_key(|(width, _)| **width) else { break };
                *width -= 1;
                surplus -= 1;
            }
        }
        widths
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

/// A text in lines that fit its column, broken behind a mark where there is one: nothing of it is lost.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = text.chars().collect();
    while rest.len() > width.max(1) {
        let head = rest.get(..width.max(1)).unwrap_or_default();
        let mark = head.iter().rposition(|character| " :/.,-_@".contains(*character));
        // A break that leaves most of the line empty reads worse than one in the middle of a word.
        let end = mark.map(|mark| mark + 1).filter(|end| end * 3 >= width).unwrap_or(head.len());
        let tail = rest.split_off(end);
        lines.push(rest.iter().collect::<String>().trim_end().to_owned());
        rest = tail;
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// A text that fits its column; the middle gives way, so that start and end stay readable.
pub(super) fn cut_middle(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(2);
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}..{end}")
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
    }

    #[test]
    fn a_terminal_table_gives_way_in_its_widest_column() {
        let mut table = Table::new(&["NAME", "#CONNECTIONS", "STATE"]);
        table.row(["a-rather-long-name-of-a-workload.example".to_owned(), "1,234".to_owned(), "pending".to_owned()]);
        table.row(["b".to_owned(), "5".to_owned(), String::new()]);
        let plain = |_: Option<usize>, _: usize, cell: &str| cell.to_owned();
        insta::assert_snapshot!(table.to_terminal(44, plain), @r#"
NAME                    CONNECTIONS  STATE
a-rather-long-name-of-        1,234  pending
a-workload.example
b                                 5
"#);
        assert!(table.to_terminal(20, plain).lines().next().unwrap().contains("CONNECTIONS"));
        assert_eq!(cut_middle("abcdef", 5), "ab..f");
        assert_eq!(cut_middle("abc", 1), "..");
    }

    #[test]
    fn different_cells_never_look_alike() {
        let mut table = Table::new(&["WHERE", "!DESTINATION"]);
        for cluster in ["prod-eu", "prod-us"] {
            table.row([format!("{cluster}:platform"), "pastebin.com".to_owned()]);
        }
        insta::assert_snapshot!(table.to_plain(24), @r"
        WHERE       DESTINATION
        prod-eu:    pastebin.com
        platform
        prod-us:    pastebin.com
        platform
        ");
        assert_eq!(fold("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(fold("a-bcdefgh-ijk", 10), ["a-bcdefgh-", "ijk"]);
        assert_eq!(fold("", 3), [""]);
    }
}
