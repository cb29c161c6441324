//! The summary that `draft` prints: one row for each namespace.
//!
//! In: drafts. Out: a table for a terminal or Markdown, columns, or JSON. The drafts themselves are written elsewhere.

use serde::Serialize;

use super::escape::{code, identifier};
use super::table::Table;
use super::tables::{Column, Columns};
use crate::model::columns;
use crate::policy::draft::{Draft, PendingKind};

/// One draft in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DraftRow {
    /// Cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Dialect.
    pub dialect: &'static str,
    /// Sets of pods with rules of their own.
    pub templates: usize,
    /// Objects written.
    pub objects: usize,
    /// Rules.
    pub rules: usize,
    /// Connections of the baseline that rules cite.
    pub allowed: u64,
    /// Connections that the draft leaves out.
    pub left_out: u64,
    /// Of these, denied by a policy in force already.
    pub denied: u64,
    /// Entries that wait for somebody's decision.
    pub decisions: usize,
    /// Open questions that change no traffic.
    pub questions: usize,
}

impl DraftRow {
    /// The numbers of a draft that became so many objects.
    pub fn new(draft: &Draft, objects: usize) -> Self {
        let sum = |of: &dyn Fn(PendingKind) -> bool| {
            let own = draft.pending.iter().filter(|pending| of(pending.kind));
            own.map(|pending| pending.connections).fold(0, u64::saturating_add)
        };
        Self {
            cluster: draft.cluster.clone(),
            namespace: draft.namespace.clone(),
            dialect: draft.dialect.as_str(),
            templates: draft.subjects.len(),
            objects,
            rules: draft.rules().count(),
            allowed: draft.rules().map(|(_, rule)| rule.evidence.connections).fold(0, u64::saturating_add),
            left_out: sum(&PendingKind::is_left_out),
            denied: sum(&|kind| kind == PendingKind::Denied),
            decisions: draft.decisions(),
            questions: draft.pending.iter().filter(|pending| pending.kind == PendingKind::Question).count(),
        }
    }
}

const HEADER: [&str; 9] =
    ["Cluster", "Namespace", "#Templates", "#Objects", "#Rules", "#Allowed", "#Left out", "#To decide", "#To ask"];

fn table(rows: &[DraftRow], escape: fn(&str) -> String) -> Table {
    let mut table = Table::new(&HEADER);
    for row in rows {
        table.row([
            escape(&row.cluster),
            escape(&row.namespace),
            row.templates.to_string(),
            row.objects.to_string(),
            row.rules.to_string(),
            row.allowed.to_string(),
            row.left_out.to_string(),
            row.decisions.to_string(),
            row.questions.to_string(),
        ]);
    }
    table
}

/// For a terminal of that width.
pub fn draft_text(rows: &[DraftRow], width: u16) -> String {
    table(rows, identifier).to_plain(width)
}

/// As Markdown.
pub fn draft_markdown(rows: &[DraftRow]) -> String {
    table(rows, code).to_markdown()
}

/// As JSON, ended by one newline.
pub fn draft_json(rows: &[DraftRow]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(rows).map(|text| text + "\n")
}

/// As columns.
pub fn draft_columns(rows: &[DraftRow]) -> Columns {
    let texts = |of: &dyn Fn(&DraftRow) -> String| Column::Text(rows.iter().map(of).collect());
    let counts = |of: &dyn Fn(&DraftRow) -> u64| Column::Count(rows.iter().map(of).collect());
    let values = [
        texts(&|row| row.cluster.clone()),
        texts(&|row| row.namespace.clone()),
        texts(&|row| row.dialect.to_owned()),
        counts(&|row| row.templates as u64),
        counts(&|row| row.objects as u64),
        counts(&|row| row.rules as u64),
        counts(&|row| row.allowed),
        counts(&|row| row.left_out),
        counts(&|row| row.decisions as u64),
        counts(&|row| row.questions as u64),
    ];
    columns::DRAFT.into_iter().zip(values).collect()
}
