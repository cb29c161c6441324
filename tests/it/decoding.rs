//! Decodes bytes of any format and shows the rows as texts, for the tests of single sources.

use std::fmt::Write;

use egress_atlas::model::{Account, Batch, EndpointId, Vocabulary};
use egress_atlas::read::{Decoders, Format, Framing, Layout};

/// What a decoding gave, in texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) flows: Vec<String>,
    pub(crate) answers: Vec<String>,
    pub(crate) losses: Vec<String>,
    pub(crate) account: Account,
}

fn end(vocabulary: &Vocabulary, id: EndpointId) -> String {
    let end = vocabulary.endpoint_of(id).unwrap();
    let mut text = format!("{:?}", end.identity);
    for (name, value) in [("", &end.namespace), ("/", &end.pod)] {
        if !value.is_empty() {
            write!(text, " {name}{value}").unwrap();
        }
    }
    if let Some(workload) = &end.workload {
        write!(text, " {workload}").unwrap();
    }
    if !end.labels.is_empty() {
        write!(text, " [{}]", end.labels.join(",")).unwrap();
    }
    text
}

/// The rows of a batch as texts. An address that the record leaves out is shown as `-`.
pub(crate) fn shown(vocabulary: &Vocabulary, batch: &Batch, account: Account) -> Outcome {
    assert!(account.is_balanced(), "{account:?}");
    let names = |id| vocabulary.chain_of(id).iter().map(|name| vocabulary.name_of(*name)).collect::<Vec<_>>().join(",");
    let address = |id: egress_atlas::model::AddressId| {
        if id.is_unrecorded() { "-".to_owned() } else { vocabulary.address_of(id).to_string() }
    };
    let flows = batch.records().map(|rows| {
        let row = rows[0];
        let mut text = format!(
            "{:?} {}:{} > {}:{} {} {:?} {:?}:{:?} ({}) > ({})",
            row.time,
            address(row.source_address),
            row.source_port,
            address(row.destination_address),
            row.destination_port,
            row.protocol,
            row.verdict,
            row.initiator,
            row.certainty,
            end(vocabulary, row.source),
            end(vocabulary, row.destination),
        );
        for (name, value) in [
            ("names", names(row.reported)),
            ("node", vocabulary.text_of(row.node).to_owned()),
            ("cluster", vocabulary.text_of(row.cluster).to_owned()),
        ] {
            if !value.is_empty() {
                write!(text, " {name}={value}").unwrap();
            }
        }
        for further in &rows[1..] {
            if further.destination_address != row.destination_address {
                write!(text, " and {}", address(further.destination_address)).unwrap();
            }
            if further.time != row.time {
                write!(text, " since {:?}", further.time).unwrap();
            }
        }
        text
    });
    let answers = batch.answers.iter().map(|row| {
        format!(
            "{:?} {} ({}) {} = {} {}/{} via [{}] by {}",
            row.time,
            address(row.client),
            end(vocabulary, row.client_hint),
            vocabulary.name_of(row.name),
            vocabulary.address_of(row.address),
            row.position + 1,
            row.addresses,
            names(row.chain),
            vocabulary.text_of(row.resolver),
        )
    });
    let losses =
        batch.losses.iter().map(|loss| format!("{:?} {} {}", loss.time, vocabulary.text_of(loss.place), loss.events));
    let (flows, answers, losses) = (flows.collect(), answers.collect(), losses.collect());
    Outcome { flows, answers, losses, account }
}

/// Decodes one chunk.
pub(crate) fn decode_laid_out(format: Format, framing: Framing, header: Option<&str>, bytes: &[u8]) -> Outcome {
    let (mut vocabulary, mut batch, mut account) = (Vocabulary::default(), Batch::default(), Account::default());
    let layout = Layout { format, framing, header, with_cluster_ids: true };
    Decoders::new(false, None).decode(layout, (bytes, 0), &mut vocabulary, &mut batch, &mut account);
    shown(&vocabulary, &batch, account)
}

/// Decodes lines.
pub(crate) fn decode(format: Format, text: &str) -> Outcome {
    decode_laid_out(format, Framing::Lines, None, text.as_bytes())
}

/// Fails unless the account has these entries, each as `reason × count`.
#[track_caller]
pub(crate) fn accounts(outcome: &Outcome, used: u64, others: &[(&str, u64)]) {
    let account = &outcome.account;
    let mut entries: Vec<(&str, u64)> =
        account.rejected.iter().map(|(reason, count)| (reason.0, count.records)).collect();
    entries.extend(account.excluded.iter().map(|(reason, count)| (reason.0, *count)));
    assert_eq!((account.used, entries.as_slice()), (used, others), "{account:?}");
}
