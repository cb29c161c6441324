//! The connections of an investigation one by one, as columns for CSV.

use super::super::tables::{Column, Columns};
use super::schema::{ConnectionRow, InvestigationDocument};
use crate::model::Timestamp;
use crate::model::columns::INVESTIGATED;

/// The connections one by one, as columns.
pub fn connection_columns(document: &InvestigationDocument) -> Columns {
    let rows = &document.connections.rows;
    let text = |value: &dyn Fn(&ConnectionRow) -> String| Column::Text(rows.iter().map(value).collect());
    let time = |value: &dyn Fn(&ConnectionRow) -> Option<&str>| {
        let nanos = |row| value(row).and_then(|text| Timestamp::parse(text.as_bytes())).map(Timestamp::nanos);
        Column::Time(rows.iter().map(nanos).collect())
    };
    let values = [
        time(&|row| row.first.as_deref()),
        time(&|row| row.last.as_deref()),
        text(&|row| row.role.to_owned()),
        text(&|row| row.cluster.clone()),
        text(&|row| row.client.clone()),
        text(&|row| row.client_address.clone()),
        text(&|row| row.server.clone()),
        text(&|row| row.server_address.clone()),
        Column::Port(rows.iter().map(|row| row.port).collect()),
        text(&|row| row.protocol.clone()),
        text(&|row| row.verdict.to_owned()),
        text(&|row| row.names.first().cloned().unwrap_or_default()),
        Column::Texts(rows.iter().map(|row| row.names.clone()).collect()),
        text(&|row| row.evidence.to_owned()),
        time(&|row| row.answered_at.as_deref()),
        Column::Ratio(rows.iter().map(|row| row.confidence).collect()),
        Column::Count(rows.iter().map(|row| row.connections).collect()),
        Column::Counts(rows.iter().map(|row| row.bytes.map(|bytes| bytes.sent)).collect()),
        Column::Counts(rows.iter().map(|row| row.bytes.map(|bytes| bytes.received)).collect()),
    ];
    INVESTIGATED.into_iter().zip(values).collect()
}
