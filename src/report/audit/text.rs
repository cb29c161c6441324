//! Findings for people: a list in the width of a terminal, and Markdown.

use super::AuditView;
use crate::policy::lint::LintFinding;
use crate::report::Paint;
use crate::report::escape::{code, identifier, prose};
use crate::report::table::Table;

/// For a terminal of that width.
pub fn audit_text(view: &AuditView<'_>, width: u16, paint: Paint) -> String {
    let width = usize::from(width).max(40);
    let mut out = String::new();
    for finding in &view.lint.findings {
        let severity = format!("{:<6}", finding.severity.as_str());
        let (object, place) = (identifier(&finding.object()), place(finding));
        let (word, rule) = (paint.severity(finding.severity, &severity), paint.strong(finding.rule.id));
        let length = 6 + 2 + finding.rule.id.len() + 2 + object.chars().count() + 2 + place.chars().count();
        if length <= width {
            out.push_str(&format_line(&[&word, &rule, &object, &paint.faint(&place)]));
        } else {
            out.push_str(&format_line(&[&word, &rule, &object]));
            wrap(&mut out, &place, "        ", width);
        }
        wrap(&mut out, &shown(&finding.message), "        ", width);
        wrap(&mut out, &format!("fix: {}", shown(&finding.fix)), "        ", width);
    }
    if !view.lint.findings.is_empty() {
        out.push('\n');
    }
    out.push_str(&view.totals());
    out.push('\n');
    for what in &view.lint.unchecked {
        wrap(&mut out, &format!("not checked: {}", shown(what)), "", width);
    }
    for note in &view.notes {
        wrap(&mut out, &format!("note: {}", shown(note)), "", width);
    }
    out
}

fn format_line(parts: &[&str]) -> String {
    let mut line = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("  ");
    line.push('\n');
    line
}

/// `file:line`, with the cluster where one is named.
fn place(finding: &LintFinding) -> String {
    let cluster = finding.cluster.as_deref().map(|cluster| format!(" ({})", identifier(cluster))).unwrap_or_default();
    match &*finding.file {
        "" => cluster.trim_start().to_owned(),
        file => format!("{}:{}{cluster}", identifier(file), finding.line),
    }
}

/// A sentence whose parts come from files: no control characters, everything else as it is.
fn shown(text: &str) -> String {
    let harmless = |character: char| character.is_ascii_graphic() || character == ' ' || character.is_alphanumeric();
    text.chars()
        .flat_map(|character| {
            if harmless(character) { character.to_string() } else { character.escape_unicode().to_string() }
                .chars()
                .collect::<Vec<_>>()
        })
        .take(600)
        .collect()
}

fn wrap(out: &mut String, text: &str, indent: &str, width: usize) {
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            out.push('\n');
            used = 0;
        }
        if used == 0 {
            out.push_str(indent);
            used = indent.len();
        } else {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out.push('\n');
}

/// As Markdown.
pub fn audit_markdown(view: &AuditView<'_>) -> String {
    let mut out = format!("# Audit of policies\n\n{}.\n", view.totals());
    if !view.lint.findings.is_empty() {
        let mut table = Table::new(&["Severity", "Rule", "Object", "Place", "Finding", "Fix"]);
        for finding in &view.lint.findings {
            let place = if finding.file.is_empty() {
                String::new()
            } else {
                code(&format!("{}:{}", finding.file, finding.line))
            };
            table.row([
                finding.severity.to_string(),
                code(finding.rule.id),
                code(&finding.object()),
                place,
                prose(&finding.message),
                prose(&finding.fix),
            ]);
        }
        out.push('\n');
        out.push_str(&table.to_markdown());
    }
    let lists = [("Not checked", &view.lint.unchecked), ("Notes", &view.notes)];
    for (heading, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        out.push_str("\n## ");
        out.push_str(heading);
        out.push_str("\n\n");
        for line in lines {
            out.push_str("- ");
            out.push_str(&prose(line));
            out.push('\n');
        }
    }
    out
}
