//! `PENDING.md`: what the draft leaves out, why, and what would admit it.
//!
//! In: a draft. Out: Markdown, sorted, escaped. It never hides a count: every connection of the baseline that the draft does not allow is
//! in one of the tables.

use super::evidence::printable;
use super::infrastructure::day;
use super::model::{Draft, Pending, PendingKind};

/// The document.
pub(super) fn document(draft: &Draft) -> String {
    let left: u64 = draft.pending.iter().map(|pending| pending.connections).fold(0, u64::saturating_add);
    let kept: u64 = draft.rules().map(|(_, rule)| rule.evidence.connections).fold(0, u64::saturating_add);
    let mut out = vec![format!("# {}: what this draft leaves out", draft.namespace), String::new()];
    out.push(format!(
        "Dialect `{}`. The rules cite {kept} connections of the baseline; {left} were left out. {}",
        draft.dialect,
        match draft.decisions() {
            0 => "Nothing waits for a decision.".to_owned(),
            1 => "1 entry waits for a decision.".to_owned(),
            count => format!("{count} entries wait for a decision."),
        }
    ));
    for kind in PendingKind::ALL {
        let own: Vec<&Pending> = draft.pending.iter().filter(|pending| pending.kind == kind).collect();
        if !own.is_empty() {
            out.push(String::new());
            section(&mut out, kind, &own);
        }
    }
    out.push(String::new());
    out.join("\n")
}

fn section(out: &mut Vec<String>, kind: PendingKind, own: &[&Pending]) {
    let (title, text) = match kind {
        PendingKind::Suspect => (
            "Suspects without an approval",
            "They stay out of every draft until an owner approves them in `reviews.toml`.",
        ),
        PendingKind::NotExpressible => {
            ("What this dialect cannot say", "A rule that comes near would allow more than was seen, so there is none.")
        }
        PendingKind::WeakEvidence => {
            ("Names on weak evidence", "The name may be wrong, and a rule for a wrong name opens a door for nobody.")
        }
        PendingKind::NoSelector => (
            "Pods that nothing stable selects",
            "A selector that changes with the next rollout would cut them off then.",
        ),
        PendingKind::Unknown => ("What has to be known first", "Neither records nor objects nor settings say it."),
        PendingKind::Replaced => (
            "Registries behind the proxy",
            "Not allowed any more: the clients have to use the proxy before this is applied.",
        ),
        PendingKind::Denied => (
            "Denied already",
            "A policy in force denied these, so they are evidence for no rule. Whether a rule for something else opens them stands in each row.",
        ),
        PendingKind::Question => {
            ("Questions", "In the draft as it says, or nothing seen; somebody who knows should confirm it.")
        }
    };
    out.push(format!("## {title}"));
    out.push(String::new());
    out.push(text.to_owned());
    out.push(String::new());
    if kind == PendingKind::Question {
        out.push("| concerns | question | what settles it |".to_owned());
        out.push("| --- | --- | --- |".to_owned());
        for pending in own {
            let who = [pending.who.as_str(), pending.what.as_str()].into_iter().filter(|text| !text.is_empty());
            let who: Vec<&str> = who.collect();
            out.push(row(&[&who.join(": "), &pending.why, &pending.admit]));
        }
        return;
    }
    out.push("| workload | traffic | connections | last | why | what would admit it |".to_owned());
    out.push("| --- | --- | ---: | --- | --- | --- |".to_owned());
    for pending in own {
        let (count, last) = (pending.connections.to_string(), day(pending.last.as_deref()));
        out.push(row(&[&pending.who, &pending.what, &count, last, &pending.why, &pending.admit]));
    }
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| markdown(cell)).collect();
    format!("| {} |", cells.join(" | "))
}

/// A text in a cell: one line, and nothing in it is markup but code between backticks, in which only the cell's border is escaped.
fn markdown(text: &str) -> String {
    let text = printable(text);
    let paired = text.matches('`').count().is_multiple_of(2);
    let (mut out, mut in_code) = (String::new(), false);
    for c in text.chars() {
        if c == '`' && paired {
            in_code = !in_code;
        } else if c == '|' || (!in_code && "\\<>*[]!#&_`~".contains(c)) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_no_markup_of_others() {
        let check = |text: &str, expected: &str| assert_eq!(markdown(text), expected);
        check("say `[[review]]` | <b>", "say `[[review]]` \\| \\<b\\>");
        check("a`b [x](y)", "a\\`b \\[x\\](y)");
        // The backslash of the escape is shown, and not obeyed.
        check("line\nbreak", "line\\\\u{a}break");
    }
}
