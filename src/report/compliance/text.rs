//! The evidence as Markdown for a reader and as JSON for a register.

use super::super::escape::{code, prose};
use super::super::table::Table;
use super::super::wording::{count, size};
use super::control::Control;
use super::judge::{Compliance, ControlRow, Standing};

/// In Markdown.
pub fn compliance_markdown(compliance: &Compliance) -> String {
    let mut out = vec!["# Network policies: evidence for controls".to_owned(), String::new()];
    out.push(
        "*Met* means that everything named below a control is shown. *Not proven* means that nothing speaks against it and something is not shown. This is \
         evidence for an assessor, and no opinion of one."
            .to_owned(),
    );
    out.push(String::new());
    out.extend(compliance.basis.iter().map(|sentence| format!("- {}", prose_with_code(sentence))));
    out.extend([String::new(), "## Controls".to_owned(), String::new()]);
    let mut table = Table::new(&["Control", "#Met", "#Not proven", "#Not met"]);
    for control in Control::ALL {
        let number = |standing| {
            let own = compliance.rows.iter().filter(|row| row.control == control && row.standing == standing);
            count(size(own.count()))
        };
        table.row([
            control.name().to_owned(),
            number(Standing::Met),
            number(Standing::NotProven),
            number(Standing::NotMet),
        ]);
    }
    out.push(table.to_markdown());
    out.extend(Control::ALL.iter().map(|control| format!("- **{}** {}", control.name(), control.asks())));
    let mut place = None;
    for row in &compliance.rows {
        if place != Some((&row.cluster, &row.namespace)) {
            place = Some((&row.cluster, &row.namespace));
            let name = if row.cluster.is_empty() {
                row.namespace.clone()
            } else {
                format!("{}/{}", row.cluster, row.namespace)
            };
            out.extend([String::new(), format!("## {}", code(&name))]);
        }
        out.extend(row_text(row));
    }
    out.push(String::new());
    out.join("\n")
}

fn row_text(row: &ControlRow) -> Vec<String> {
    let mut out = vec![String::new(), format!("**{}: {}**", row.control.name(), row.standing.as_str()), String::new()];
    for (word, sentences) in [("against", &row.against), ("missing", &row.missing), ("shown", &row.evidence)] {
        out.extend(sentences.iter().map(|sentence| format!("- {word}: {}", prose_with_code(sentence))));
    }
    out
}

/// Prose in which words between backticks stay code.
fn prose_with_code(sentence: &str) -> String {
    let parts: Vec<&str> = sentence.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return prose(sentence);
    }
    let each = parts.iter().enumerate();
    each.map(|(place, part)| if place % 2 == 1 { code(part) } else { spaced(part) }).collect()
}

/// Prose that keeps the space on either side of it.
fn spaced(part: &str) -> String {
    let space = |is_there: bool| if is_there { " " } else { "" };
    format!("{}{}{}", space(part.starts_with(' ')), prose(part.trim()), space(part.ends_with(' ') && part.len() > 1))
}

/// As JSON.
pub fn compliance_json(compliance: &Compliance) -> serde_json::Result<String> {
    serde_json::to_string_pretty(compliance).map(|text| text + "\n")
}
