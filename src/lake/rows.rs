//! Rows as frames, and back: flows, answers, losses.
//!
//! In: rows with the vocabulary that their numbers belong to. Out: frames that say everything the rows say, in texts; and
//! rows again, in the numbers of the reader's vocabulary. The way there and back changes nothing.

use std::net::IpAddr;

use hashbrown::HashMap;
use polars::prelude::{BooleanChunked, DataFrame, PolarsResult, StringChunked};

use super::codec::{Word, join_list, split_list};
use super::frame::{Columns, counts, flags, numbers, texts, time_at, times};
use crate::model::columns::{END_PREFIXES, STORED_ANSWERS, STORED_END, STORED_FLOWS, STORED_LOSSES};
use crate::model::{
    AddressId, AnswerKind, AnswerRow, Batch, Certainty, ChainId, Endpoint, EndpointId, FlowRow, IdentityKind,
    Initiator, Loss, NameId, Protocol, TextId, Verdict, Vocabulary, Workload, WorkloadKind,
};

fn end_columns(columns: &mut Columns, prefix: &str, ends: &[EndpointId], vocabulary: &Vocabulary) {
    let nobody = Endpoint::default();
    let ends: Vec<&Endpoint> = ends.iter().map(|end| vocabulary.endpoint_of(*end).unwrap_or(&nobody)).collect();
    let [namespace, pod, workload_kind, workload, labels, identity, local, cluster] =
        STORED_END.map(|name| format!("{prefix}{name}"));
    let owner = |end: &Endpoint| end.workload.is_some();
    columns.text(&namespace, ends.iter().map(|end| &*end.namespace));
    columns.text(&pod, ends.iter().map(|end| &*end.pod));
    columns.text(
        &workload_kind,
        ends.iter().map(|end| end.workload.as_ref().filter(|_| owner(end)).map_or("", |owner| &*owner.kind.0)),
    );
    columns.text(&workload, ends.iter().map(|end| end.workload.as_ref().map_or("", |owner| &*owner.name)));
    let lists: Vec<String> = ends.iter().map(|end| join_list(end.labels.iter().map(|label| &**label))).collect();
    columns.text(&labels, lists.iter().map(String::as_str));
    columns.text(&identity, ends.iter().map(|end| end.identity.word()));
    columns.flag(&local, ends.iter().map(|end| end.local));
    columns.text(&cluster, ends.iter().map(|end| &*end.cluster));
}

/// A list of names as one text.
fn chain_text(chain: ChainId, vocabulary: &Vocabulary) -> String {
    join_list(vocabulary.chain_of(chain).iter().map(|name| vocabulary.name_of(*name)))
}

/// Flows as a frame.
pub(super) fn flow_frame(rows: &[FlowRow], vocabulary: &Vocabulary) -> Result<DataFrame, String> {
    let [
        time,
        cluster,
        node,
        source,
        source_port,
        destination,
        destination_port,
        protocol,
        verdict,
        initiator,
        certainty,
        reported,
        id,
    ] = STORED_FLOWS;
    let [source_prefix, destination_prefix, _] = END_PREFIXES;
    let mut columns = Columns::default();
    let addresses = |of: fn(&FlowRow) -> AddressId| -> Vec<String> {
        rows.iter().map(|row| vocabulary.address_of(of(row)).to_string()).collect()
    };
    columns.time(time, rows.iter().map(|row| row.time));
    columns.text(cluster, rows.iter().map(|row| vocabulary.text_of(row.cluster)));
    columns.text(node, rows.iter().map(|row| vocabulary.text_of(row.node)));
    columns.text(source, addresses(|row| row.source_address).iter().map(String::as_str));
    columns.number(source_port, rows.iter().map(|row| row.source_port.into()));
    end_columns(&mut columns, source_prefix, &rows.iter().map(|row| row.source).collect::<Vec<_>>(), vocabulary);
    columns.text(destination, addresses(|row| row.destination_address).iter().map(String::as_str));
    columns.number(destination_port, rows.iter().map(|row| row.destination_port.into()));
    end_columns(
        &mut columns,
        destination_prefix,
        &rows.iter().map(|row| row.destination).collect::<Vec<_>>(),
        vocabulary,
    );
    columns.number(protocol, rows.iter().map(|row| row.protocol.0.into()));
    columns.text(verdict, rows.iter().map(|row| row.verdict.word()));
    columns.text(initiator, rows.iter().map(|row| row.initiator.word()));
    columns.text(certainty, rows.iter().map(|row| row.certainty.word()));
    let names: Vec<String> = rows.iter().map(|row| chain_text(row.reported, vocabulary)).collect();
    columns.text(reported, names.iter().map(String::as_str));
    columns.text(id, rows.iter().map(|row| vocabulary.text_of(row.id)));
    columns.frame(rows.len())
}

/// Answers as a frame.
pub(super) fn answer_frame(rows: &[AnswerRow], vocabulary: &Vocabulary) -> Result<DataFrame, String> {
    let [time, cluster, client, name, address, chain, ttl_seconds, position, addresses, kind, resolver] =
        STORED_ANSWERS;
    let [_, _, client_prefix] = END_PREFIXES;
    let mut columns = Columns::default();
    let texts = |of: fn(&AnswerRow) -> AddressId| -> Vec<String> {
        rows.iter().map(|row| vocabulary.address_of(of(row)).to_string()).collect()
    };
    columns.time(time, rows.iter().map(|row| row.time));
    columns.text(cluster, rows.iter().map(|row| vocabulary.text_of(row.cluster)));
    columns.text(client, texts(|row| row.client).iter().map(String::as_str));
    end_columns(&mut columns, client_prefix, &rows.iter().map(|row| row.client_hint).collect::<Vec<_>>(), vocabulary);
    columns.text(name, rows.iter().map(|row| vocabulary.name_of(row.name)));
    columns.text(address, texts(|row| row.address).iter().map(String::as_str));
    let chains: Vec<String> = rows.iter().map(|row| chain_text(row.chain, vocabulary)).collect();
    columns.text(chain, chains.iter().map(String::as_str));
    columns.number(ttl_seconds, rows.iter().map(|row| row.ttl_seconds));
    columns.number(position, rows.iter().map(|row| row.position.into()));
    columns.number(addresses, rows.iter().map(|row| row.addresses.into()));
    columns.text(kind, rows.iter().map(|row| row.kind.word()));
    columns.text(resolver, rows.iter().map(|row| vocabulary.text_of(row.resolver)));
    columns.frame(rows.len())
}

/// Losses as a frame.
pub(super) fn loss_frame(rows: &[Loss], vocabulary: &Vocabulary) -> Result<DataFrame, String> {
    let [time, cluster, node, place, events] = STORED_LOSSES;
    let mut columns = Columns::default();
    columns.time(time, rows.iter().map(|row| row.time));
    columns.text(cluster, rows.iter().map(|row| vocabulary.text_of(row.cluster)));
    columns.text(node, rows.iter().map(|row| vocabulary.text_of(row.node)));
    columns.text(place, rows.iter().map(|row| vocabulary.text_of(row.place)));
    columns.count(events, rows.iter().map(|row| row.events));
    columns.frame(rows.len())
}

/// Reads rows back. It remembers numbers of the vocabulary that it is given: use one with one vocabulary.
#[derive(Default)]
pub(super) struct RowReader {
    ends: HashMap<Box<str>, EndpointId>,
    chains: HashMap<Box<str>, ChainId>,
    key: String,
}

/// What is remembered at most, in distinct values of a kind.
const REMEMBERED_MAX: usize = 1 << 18;

/// The columns of one end.
struct EndColumns<'a> {
    texts: [&'a StringChunked; 7],
    local: &'a BooleanChunked,
}

impl<'a> EndColumns<'a> {
    fn of(frame: &'a DataFrame, prefix: &str) -> PolarsResult<Self> {
        let [namespace, pod, workload_kind, workload, labels, identity, local, cluster] =
            STORED_END.map(|name| format!("{prefix}{name}"));
        let text = |name: &str| texts(frame, name);
        Ok(Self {
            texts: [
                text(&namespace)?,
                text(&pod)?,
                text(&workload_kind)?,
                text(&workload)?,
                text(&labels)?,
                text(&identity)?,
                text(&cluster)?,
            ],
            local: flags(frame, &local)?,
        })
    }
}

/// The text of a cell; empty where it has none.
fn text_at(column: &StringChunked, row: usize) -> &str {
    column.get(row).unwrap_or_default()
}

fn port(value: Option<u32>) -> u16 {
    value.and_then(|value| u16::try_from(value).ok()).unwrap_or(0)
}

impl RowReader {
    fn end(&mut self, columns: &EndColumns<'_>, row: usize, vocabulary: &mut Vocabulary) -> EndpointId {
        let fields = columns.texts.map(|column| text_at(column, row));
        let local = columns.local.get(row).unwrap_or_default();
        self.key.clear();
        self.key.push(if local { 'l' } else { 'r' });
        for field in fields {
            // The length first, so that no two ends have one key.
            self.key += &field.len().to_string();
            self.key.push(':');
            self.key.push_str(field);
        }
        if let Some(known) = self.ends.get(self.key.as_str()) {
            return *known;
        }
        let [namespace, pod, workload_kind, workload, labels, identity, cluster] = fields;
        let owned = !workload.is_empty() || !workload_kind.is_empty();
        let id = vocabulary.endpoint(Endpoint {
            namespace: namespace.into(),
            pod: pod.into(),
            workload: owned.then(|| Workload { kind: WorkloadKind(workload_kind.into()), name: workload.into() }),
            labels: split_list(labels).into_iter().map(Into::into).collect(),
            identity: IdentityKind::of_word(identity).unwrap_or_default(),
            local,
            cluster: cluster.into(),
        });
        if self.ends.len() >= REMEMBERED_MAX {
            self.ends.clear();
        }
        self.ends.insert(self.key.as_str().into(), id);
        id
    }

    fn chain(&mut self, joined: &str, vocabulary: &mut Vocabulary) -> ChainId {
        if joined.is_empty() {
            return ChainId::NONE;
        }
        if let Some(known) = self.chains.get(joined) {
            return *known;
        }
        let names: Vec<NameId> = split_list(joined).iter().map(|name| vocabulary.name(name)).collect();
        let id = vocabulary.chain(&names);
        if self.chains.len() >= REMEMBERED_MAX {
            self.chains.clear();
        }
        self.chains.insert(joined.into(), id);
        id
    }

    /// Adds the flows of a frame. A row whose address does not parse is counted and left out.
    pub(super) fn flows(
        &mut self,
        frame: &DataFrame,
        with_ids: bool,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
    ) -> PolarsResult<u64> {
        let [
            time,
            cluster,
            node,
            source,
            source_port,
            destination,
            destination_port,
            protocol,
            verdict,
            initiator,
            certainty,
            reported,
            id,
        ] = STORED_FLOWS;
        let [source_prefix, destination_prefix, _] = END_PREFIXES;
        let text = |name: &str| texts(frame, name);
        let time = times(frame, time)?;
        let (cluster, node, source, destination) = (text(cluster)?, text(node)?, text(source)?, text(destination)?);
        let (source_port, destination_port) = (numbers(frame, source_port)?, numbers(frame, destination_port)?);
        let source_end = EndColumns::of(frame, source_prefix)?;
        let destination_end = EndColumns::of(frame, destination_prefix)?;
        let (protocol, verdict) = (numbers(frame, protocol)?, text(verdict)?);
        let (initiator, certainty, reported) = (text(initiator)?, text(certainty)?, text(reported)?);
        let id = if with_ids { Some(text(id)?) } else { None };
        let mut broken = 0;
        for row in 0..frame.height() {
            let (Some(source_address), Some(destination_address)) =
                (address(text_at(source, row), vocabulary), address(text_at(destination, row), vocabulary))
            else {
                broken += 1;
                continue;
            };
            let flow = FlowRow {
                time: time_at(&time, row),
                cluster: vocabulary.text(text_at(cluster, row)),
                node: vocabulary.text(text_at(node, row)),
                source: self.end(&source_end, row, vocabulary),
                destination: self.end(&destination_end, row, vocabulary),
                source_address,
                destination_address,
                source_port: port(source_port.get(row)),
                destination_port: port(destination_port.get(row)),
                protocol: Protocol(protocol.get(row).and_then(|number| u8::try_from(number).ok()).unwrap_or(255)),
                verdict: Verdict::of_word(text_at(verdict, row)).unwrap_or_default(),
                initiator: Initiator::of_word(text_at(initiator, row)).unwrap_or_default(),
                certainty: Certainty::of_word(text_at(certainty, row)).unwrap_or_default(),
                reported: self.chain(text_at(reported, row), vocabulary),
                id: id.map_or(TextId::NONE, |id| vocabulary.text(text_at(id, row))),
            };
            batch.flows.push(flow);
        }
        Ok(broken)
    }

    /// Adds the answers of a frame. A row whose address does not parse is counted and left out.
    pub(super) fn answers(
        &mut self,
        frame: &DataFrame,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
    ) -> PolarsResult<u64> {
        let [time, cluster, client, name, found, chain, ttl_seconds, position, addresses, kind, resolver] =
            STORED_ANSWERS;
        let [_, _, client_prefix] = END_PREFIXES;
        let text = |name: &str| texts(frame, name);
        let time = times(frame, time)?;
        let (cluster, client, name, found) = (text(cluster)?, text(client)?, text(name)?, text(found)?);
        let client_end = EndColumns::of(frame, client_prefix)?;
        let (chain, kind, resolver) = (text(chain)?, text(kind)?, text(resolver)?);
        let (ttl_seconds, position) = (numbers(frame, ttl_seconds)?, numbers(frame, position)?);
        let addresses = numbers(frame, addresses)?;
        let mut broken = 0;
        for row in 0..frame.height() {
            let (Some(client), Some(found)) =
                (address(text_at(client, row), vocabulary), address(text_at(found, row), vocabulary))
            else {
                broken += 1;
                continue;
            };
            let answer = AnswerRow {
                time: time_at(&time, row),
                cluster: vocabulary.text(text_at(cluster, row)),
                client,
                client_hint: self.end(&client_end, row, vocabulary),
                name: vocabulary.name(text_at(name, row)),
                address: found,
                chain: self.chain(text_at(chain, row), vocabulary),
                ttl_seconds: ttl_seconds.get(row).unwrap_or(0),
                position: port(position.get(row)),
                addresses: port(addresses.get(row)),
                kind: AnswerKind::of_word(text_at(kind, row)).unwrap_or(AnswerKind::Address),
                resolver: vocabulary.text(text_at(resolver, row)),
            };
            batch.answers.push(answer);
        }
        Ok(broken)
    }
}

/// Adds the losses of a frame.
pub(super) fn losses(frame: &DataFrame, vocabulary: &mut Vocabulary, batch: &mut Batch) -> PolarsResult<()> {
    let [time, cluster, node, place, events] = STORED_LOSSES;
    let time = times(frame, time)?;
    let (cluster, node, place) = (texts(frame, cluster)?, texts(frame, node)?, texts(frame, place)?);
    let events = counts(frame, events)?;
    for row in 0..frame.height() {
        batch.losses.push(Loss {
            time: time_at(&time, row),
            cluster: vocabulary.text(text_at(cluster, row)),
            node: vocabulary.text(text_at(node, row)),
            place: vocabulary.text(text_at(place, row)),
            events: events.get(row).unwrap_or(0),
        });
    }
    Ok(())
}

fn address(text: &str, vocabulary: &mut Vocabulary) -> Option<AddressId> {
    text.parse::<IpAddr>().ok().map(|address| vocabulary.address(address))
}
