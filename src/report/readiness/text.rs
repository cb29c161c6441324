//! Readiness on a terminal: inputs, then each cluster's checks and sources.
//!
//! In: finished checks. Out: lines that fit the terminal. Decides nothing.

use super::super::collected::collected_text;
use super::super::escape::identifier;
use super::super::paint::Paint;
use super::super::table::{Table, cut_middle};
use super::checks::{Outcome, Readiness};

/// Width of the names of checks, in characters.
const NAME: usize = 18;

/// As text for a terminal of `width` columns.
pub fn readiness_text(readiness: &Readiness, width: u16, paint: Paint) -> String {
    let mut text = String::new();
    let names = readiness.inputs.iter().map(|input| identifier(&input.name).chars().count());
    let names = names.max().unwrap_or(0).clamp(NAME, usize::from(width) / 2);
    for input in &readiness.inputs {
        let head = format!("{:<10}  {:<names$}  ", input.outcome.word(), cut_middle(&identifier(&input.name), names));
        let reasons = if input.reasons.is_empty() { String::new() } else { format!(": {}", input.reasons.join(", ")) };
        let detail = format!("{} of {} {} records used{reasons}", input.used, input.read, input.format);
        text += &painted(&hanging(&head, &detail, usize::from(width)), input.outcome, paint);
    }
    if readiness.clusters.is_empty() {
        text += "\nNo usable record in any input: nothing can be discovered with these.\n";
    }
    for cluster in &readiness.clusters {
        let name = identifier(&cluster.cluster);
        let [from, until] = [&cluster.window.0, &cluster.window.1].map(|time| second(time));
        text += "\n";
        text += &paint.strong(&["Cluster ", &name, ", window ", &from, " to ", &until].concat());
        text += "\n\n";
        for check in &cluster.checks {
            let head = format!("{:<10}  {:<NAME$}  ", check.outcome.word(), check.name);
            text += &painted(&hanging(&head, &check.detail, usize::from(width)), check.outcome, paint);
        }
        let mut sources = Table::new(&["source", "!name", "#records", "first", "last", "#covered", "#gaps", "#lost"]);
        for source in &cluster.sources {
            // The window above says the year.
            let short = |time: &str| time.get(5..16).unwrap_or_default().replace('T', " ");
            sources.row([
                source.kind.to_owned(),
                identifier(&source.name),
                source.records.to_string(),
                short(&source.first),
                short(&source.last),
                format!("{} %", source.covered_percent),
                source.gaps.len().to_string(),
                source.lost.to_string(),
            ]);
        }
        let sources = sources.to_terminal(usize::from(width), |row, _, cell| match row {
            None => paint.faint(cell),
            Some(_) => cell.to_owned(),
        });
        text += &["\n", &sources, "\n"].concat();
    }
    text + &collected_text(&readiness.collected, width)
}

/// A time to the second, without the letters that programs need.
pub(super) fn second(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ")
}

/// The first word of a line in the colour of its outcome.
fn painted(line: &str, outcome: Outcome, paint: Paint) -> String {
    let word = outcome.word();
    let rest = line.strip_prefix(word).unwrap_or_default();
    let word = match outcome {
        Outcome::Passes => paint.good(word),
        Outcome::Limits | Outcome::NotProven => paint.warn(word),
        Outcome::Fails => paint.bad(word),
    };
    format!("{word}{rest}")
}

/// A sentence behind a head, wrapped so that its lines begin where the first one does.
pub(in crate::report) fn hanging(head: &str, sentence: &str, width: usize) -> String {
    let indent = head.chars().count();
    let room = width.saturating_sub(indent).max(20);
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    format!("{head}{}\n", lines.join(&format!("\n{}", " ".repeat(indent))))
}
