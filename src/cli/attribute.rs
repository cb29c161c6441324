//! `attribute`: one row per client-side flow, with its name and the evidence.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::traffic::{TrafficArgs, say_account};
use super::write::{ROWS_AT_ONCE, write_table};
use crate::attribute::{AttributedRow, Evidence, Passes, Rows, in_order};
use crate::error::ExitStatus;
use crate::model::{AddressId, Timestamp, columns};
use crate::report::{Column, Columns, clock_offset};
use crate::summary::is_egress;

/// Arguments of `attribute`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    egress-atlas attribute --flows 'hubble/*.log*' --dns coredns.fstrm --out flows.parquet\n  \
    egress-atlas attribute --flows events.log --dns dns.fstrm.zst --kube kube.json --out flows.csv")]
pub(super) struct AttributeArgs {
    #[command(flatten)]
    traffic: TrafficArgs,
    /// Where to write; `.parquet`, `.csv` or `.ndjson` decides the form.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &AttributeArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    let (traffic, evidence) = args.traffic.load(true, context)?;
    let networks = &traffic.networks;
    let passes = Passes::over(&evidence, &traffic.join, traffic.threads)?;
    let sinks = passes.attribute(&evidence, || Rows::new(|evidence, named| is_egress(networks, evidence, named)))?;
    let mut rows: Vec<AttributedRow> = sinks.into_iter().flat_map(|sink| sink.rows).collect();
    in_order(&evidence, &mut rows);
    let count = rows.len();
    // Without a row there still is a table.
    let parts = if rows.is_empty() { 1 } else { rows.len().div_ceil(ROWS_AT_ONCE) };
    let part = |number| rows.chunks(ROWS_AT_ONCE).nth(number).unwrap_or_default();
    write_table(&args.out, (0..parts).map(|number| columns(&evidence, part(number))))?;
    for (cluster, ahead_nanos) in passes.offsets(&evidence).into_iter().filter(|(_, ahead)| *ahead != 0) {
        context.say(&format!("warning: cluster `{cluster}`: {}", clock_offset(ahead_nanos)));
    }
    say_account(&traffic, context);
    context.say(&format!("{count} flows → {}", args.out.display()));
    Ok(if traffic.is_broken() || count == 0 { ExitStatus::NotProven } else { ExitStatus::Good })
}

fn columns(evidence: &Evidence, rows: &[AttributedRow]) -> Columns {
    let vocabulary = &evidence.vocabulary;
    let party = |row: &AttributedRow| row.client.and_then(|party| evidence.parties.get(party));
    let text = |value: &dyn Fn(&AttributedRow) -> String| Column::Text(rows.iter().map(value).collect());
    let nanos = |time: Timestamp| time.is_known().then(|| time.nanos());
    let id = |row: &AttributedRow| match &*vocabulary.record_id_text(row.id) {
        "" => format!("{:016x}", row.stable),
        id => id.to_owned(),
    };
    let age = |row: &AttributedRow| {
        let known = row.time.is_known() && row.answered_at.is_known();
        // Milliseconds are what clocks of different machines can be trusted for at best.
        let asked = row.answered_at.plus_nanos(-row.ahead_nanos);
        known.then(|| (row.time.seconds_since(asked) * 1_000.0).round() / 1_000.0)
    };
    // An address that the record leaves out stays empty.
    let address = |id: AddressId| {
        if id.is_unrecorded() { String::new() } else { vocabulary.address_of(id).to_string() }
    };
    let values = [
        text(&id),
        Column::Time(rows.iter().map(|row| nanos(row.time)).collect()),
        text(&|row| vocabulary.text_of(row.cluster).to_owned()),
        text(&|row| party(row).map(|party| party.namespace.to_string()).unwrap_or_default()),
        text(&|row| party(row).map(|party| party.pod.to_string()).unwrap_or_default()),
        text(&|row| party(row).map(|party| party.workload.name.to_string()).unwrap_or_default()),
        text(&|row| address(row.client_address)),
        text(&|row| address(row.server_address)),
        Column::Port(rows.iter().map(|row| row.port).collect()),
        text(&|row| row.protocol.to_string()),
        text(&|row| row.verdict.as_str().to_owned()),
        text(&|row| row.names.first().map(|name| vocabulary.name_of(*name).to_owned()).unwrap_or_default()),
        Column::Texts(
            rows.iter()
                .map(|row| row.names.iter().map(|name| vocabulary.name_of(*name).to_owned()).collect())
                .collect(),
        ),
        text(&|row| row.grade.to_string()),
        Column::Time(rows.iter().map(|row| nanos(row.answered_at)).collect()),
        Column::Ratios(rows.iter().map(age).collect()),
        Column::Ratio(rows.iter().map(|row| (row.confidence * 1_000.0).round() / 1_000.0).collect()),
    ];
    columns::ATTRIBUTE.into_iter().zip(values).collect()
}
