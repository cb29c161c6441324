//! What rows of all tables have in common as frames, and back: ends, lists of names, addresses; and losses.
//!
//! In: rows with the vocabulary that their numbers belong to. Out: frames that say everything the rows say, in texts; and
//! rows again, in the numbers of the reader's vocabulary. The way there and back changes nothing.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::codec::{Word, join_list, split_list};
use super::frame::{Columns, Flags, Frame, FrameError, Texts};
use super::repeats::{Again, Repeating, write_repeats};
use crate::model::columns::{STORED_END, STORED_LOSSES, STORED_REPEATS};
use crate::model::{
    AddressId, Batch, ChainId, Endpoint, EndpointId, IdentityKind, Loss, NameId, Timestamp, Vocabulary, Workload,
    WorkloadKind,
};

/// Writes the columns of one end.
pub(super) fn end_columns(columns: &mut Columns, prefix: &str, ends: &[EndpointId], vocabulary: &Vocabulary) {
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
    let lists: Vec<String> = ends.iter().map(|end| join_list(end.all_labels())).collect();
    columns.text(&labels, lists.iter().map(String::as_str));
    columns.text(&identity, ends.iter().map(|end| end.identity.word()));
    columns.flag(&local, ends.iter().map(|end| end.local));
    columns.text(&cluster, ends.iter().map(|end| &*end.cluster));
}

/// A list of names as one text.
pub(super) fn chain_text(chain: ChainId, vocabulary: &Vocabulary) -> String {
    join_list(vocabulary.chain_of(chain).iter().map(|name| vocabulary.name_of(*name)))
}

/// Addresses; none where the record left it out, which reads as [`rebuilt`] says.
pub(super) fn address_column(
    columns: &mut Columns,
    name: &str,
    addresses: impl Iterator<Item = AddressId>,
    vocabulary: &Vocabulary,
) {
    let written =
        addresses.map(|address| (!address.is_unrecorded()).then(|| vocabulary.address_of(address).to_string()));
    let written: Vec<Option<String>> = written.collect();
    columns.optional_text(name, written.iter().map(Option::as_deref));
}

/// The address of a cell. One that the record left out is stood in for by `names`, where there are any, else by `end`: as
/// the readers of records do. `None` for a text that is no address.
pub(super) fn rebuilt(
    cell: Option<&str>,
    names: ChainId,
    end: EndpointId,
    vocabulary: &mut Vocabulary,
) -> Option<AddressId> {
    match cell {
        Some(text) => address(text, vocabulary),
        None if names.is_none() => Some(AddressId::unrecorded(end)),
        None => Some(AddressId::unrecorded_but_named(names)),
    }
}

/// Writes what tells of repeats; `own` says what of a row its repeats may have otherwise.
pub(super) fn repeat_columns<R: Repeating>(columns: &mut Columns, rows: &[R], own: impl Fn(&R) -> Again) {
    let [records, last, repeats] = STORED_REPEATS;
    let has_repeats = |row: &R| !row.again().is_empty();
    columns.number(records, rows.iter().map(|row| u32::try_from(row.records()).unwrap_or(u32::MAX)));
    columns.time(last, rows.iter().map(|row| if has_repeats(row) { row.last() } else { Timestamp::UNKNOWN }));
    let texts: Vec<Option<String>> =
        rows.iter().map(|row| has_repeats(row).then(|| write_repeats(row.again(), own(row)))).collect();
    columns.optional_text(repeats, texts.iter().map(Option::as_deref));
}

/// The column of repeats; none in stores of older versions.
pub(super) struct RepeatColumn<'a>(Option<Texts<'a>>);

impl<'a> RepeatColumn<'a> {
    pub(super) fn of(frame: &'a Frame) -> Result<Self, FrameError> {
        let [_, _, repeats] = STORED_REPEATS;
        Ok(Self(if frame.has(repeats) { Some(frame.texts(repeats)?) } else { None }))
    }

    /// The repeats of a row as a text; empty where there are none.
    pub(super) fn text(&self, row: usize) -> &'a str {
        self.0.map_or("", |column| column.at(row))
    }
}

/// Losses as a frame.
pub(super) fn loss_frame(rows: &[Loss], vocabulary: &Vocabulary) -> Frame {
    let [time, cluster, node, place, events] = STORED_LOSSES;
    let mut columns = Columns::default();
    columns.time(time, rows.iter().map(|row| row.time));
    columns.text(cluster, rows.iter().map(|row| vocabulary.text_of(row.cluster)));
    columns.text(node, rows.iter().map(|row| vocabulary.text_of(row.node)));
    columns.text(place, rows.iter().map(|row| vocabulary.text_of(row.place)));
    columns.count(events, rows.iter().map(|row| row.events));
    columns.frame()
}

/// Reads rows back. It remembers numbers of the vocabulary that it is given: use one with one vocabulary.
#[derive(Default)]
pub(super) struct RowReader {
    ends: HashMap<Box<str>, EndpointId>,
    chains: HashMap<Box<str>, ChainId>,
    key: String,
    /// Whether any flow stood for several records, of which only the first has its id.
    pub(super) has_repeats: bool,
}

/// What is remembered at most, in distinct values of a kind.
const REMEMBERED_MAX: usize = 1 << 18;

/// The columns of one end.
pub(super) struct EndColumns<'a> {
    texts: [Texts<'a>; 7],
    local: Flags<'a>,
}

impl<'a> EndColumns<'a> {
    pub(super) fn of(frame: &'a Frame, prefix: &str) -> Result<Self, FrameError> {
        let [namespace, pod, workload_kind, workload, labels, identity, local, cluster] =
            STORED_END.map(|name| format!("{prefix}{name}"));
        let text = |name: &str| frame.texts(name);
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
            local: frame.flags(&local)?,
        })
    }
}

/// A number of 16 bits; 0 for one that has more.
pub(super) fn port(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(0)
}

impl RowReader {
    /// The end of a row.
    pub(super) fn end(&mut self, columns: &EndColumns<'_>, row: usize, vocabulary: &mut Vocabulary) -> EndpointId {
        let fields = columns.texts.map(|column| column.at(row));
        let local = columns.local.at(row);
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
        let (labels, context) = Endpoint::split_labels(split_list(labels).into_iter().map(Into::into));
        let id = vocabulary.endpoint(Endpoint {
            namespace: namespace.into(),
            pod: pod.into(),
            workload: owned.then(|| Workload { kind: WorkloadKind(workload_kind.into()), name: workload.into() }),
            labels,
            identity: IdentityKind::of_word(identity).unwrap_or_default(),
            local,
            cluster: cluster.into(),
            context,
        });
        if self.ends.len() >= REMEMBERED_MAX {
            self.ends.clear();
        }
        self.ends.insert(self.key.as_str().into(), id);
        id
    }

    /// The list of names of a cell.
    pub(super) fn chain(&mut self, joined: &str, vocabulary: &mut Vocabulary) -> ChainId {
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
}

/// Adds the losses of a frame.
pub(super) fn losses(frame: &Frame, vocabulary: &mut Vocabulary, batch: &mut Batch) -> Result<(), FrameError> {
    let [time, cluster, node, place, events] = STORED_LOSSES;
    let (time, events) = (frame.times(time)?, frame.counts(events)?);
    let (cluster, node, place) = (frame.texts(cluster)?, frame.texts(node)?, frame.texts(place)?);
    for row in 0..frame.rows() {
        batch.losses.push(Loss {
            time: time.at(row),
            cluster: vocabulary.text(cluster.at(row)),
            node: vocabulary.text(node.at(row)),
            place: vocabulary.text(place.at(row)),
            events: events.at(row),
        });
    }
    Ok(())
}

/// The address that a text is.
pub(super) fn address(text: &str, vocabulary: &mut Vocabulary) -> Option<AddressId> {
    text.parse::<IpAddr>().ok().map(|address| vocabulary.address(address))
}
