//! Flow records as frames, and back.
//!
//! In: the rows of each record, with the vocabulary that their numbers belong to. Out: frames with one row for each record;
//! and the rows of the records again, so that whoever counts records counts the same.

use super::codec::{Word, join_list, split_list};
use super::count_columns::{CountColumns, count_columns};
use super::frame::{Columns, Frame, FrameError, Numbers, Texts, Times};
use super::repeats::{Again, MINUTE_NANOS, PORTLESS_GAP_NANOS, Repeating, add_repeats, read_repeats};
use super::rows::{
    EndColumns, RepeatColumn, RowReader, address, address_column, chain_text, end_columns, port, rebuilt,
    repeat_columns,
};
use super::scan::ScanOptions;
use crate::model::columns::{END_PREFIXES, STORED_FLOWS};
use crate::model::{
    AddressId, Batch, Certainty, ChainId, FlowRow, Initiator, Protocol, RecordId, Timestamp, Verdict, Vocabulary,
    Volume,
};

/// One record: its row, and what it says beyond it.
#[derive(Clone, Debug)]
pub(super) struct FlowRecord {
    pub(super) row: FlowRow,
    /// An earlier time of the same connection; unknown when the record has one time.
    began: Timestamp,
    /// Further destinations of the same client.
    also_to: Vec<AddressId>,
    /// What it counts.
    volume: Option<Box<Volume>>,
    /// When the same was seen again.
    again: Vec<Again>,
}

/// What repeats of a record have in common: the row but for time and id, what it says beyond it, and whether it has an id.
type FlowKey = (FlowRow, Timestamp, Vec<AddressId>, bool);

impl Repeating for FlowRecord {
    type Key = FlowKey;

    /// Records that count differ in what they count: they stay alone.
    fn key(&self) -> Option<FlowKey> {
        let row = FlowRow { time: Timestamp::UNKNOWN, id: RecordId::NONE, ..self.row };
        self.volume.is_none().then(|| (row, self.began, self.also_to.clone(), self.row.id.is_none()))
    }

    fn time(&self) -> Timestamp {
        self.row.time
    }

    fn again(&self) -> &[Again] {
        &self.again
    }

    fn gap(&self) -> i64 {
        let is_portless = self.row.source_port == 0 || self.row.destination_port == 0;
        if is_portless { PORTLESS_GAP_NANOS } else { MINUTE_NANOS }
    }

    fn absorb(&mut self, later: Self, vocabulary: &Vocabulary) {
        let offset = later.row.time.nanos().saturating_sub(self.row.time.nanos());
        // Of records of one time, the smaller id stands for the connection.
        let is_smaller = || vocabulary.record_id_text(later.row.id) < vocabulary.record_id_text(self.row.id);
        if offset == 0 && is_smaller() {
            self.row.id = later.row.id;
        }
        add_repeats(&mut self.again, offset, Again::default(), &later.again);
    }
}

impl FlowRecord {
    /// The rows of one record as one. Rows that differ in anything else than time or destination become records of their
    /// own, which no reader of records makes.
    pub(super) fn all(rows: &[FlowRow], volume: Option<Volume>) -> Vec<Self> {
        let mut records: Vec<Self> = Vec::with_capacity(1);
        for row in rows {
            if let Some(last) = records.last_mut() {
                let first = last.row;
                if *row == (FlowRow { time: row.time, ..first }) && row.time.is_known() && !last.began.is_known() {
                    last.began = row.time;
                    continue;
                }
                let differs_in_address = *row == (FlowRow { destination_address: row.destination_address, ..first });
                if differs_in_address && !row.destination_address.is_unrecorded() {
                    last.also_to.push(row.destination_address);
                    continue;
                }
            }
            records.push(Self {
                row: *row,
                began: Timestamp::UNKNOWN,
                also_to: Vec::new(),
                volume: None,
                again: Vec::new(),
            });
        }
        if let Some(first) = records.first_mut() {
            first.volume = volume.map(Box::new);
        }
        records
    }

    /// Its rows, as they were; those of repeats have no id.
    fn unfold(self, batch: &mut Batch) {
        if let Some(volume) = &self.volume {
            batch.count_next(**volume);
        }
        self.push(self.row, batch);
        for again in &self.again {
            let time = self.row.time.plus_nanos(again.offset);
            self.push(FlowRow { time, id: RecordId::NONE, ..self.row }, batch);
        }
    }

    fn push(&self, row: FlowRow, batch: &mut Batch) {
        batch.flows.push(row);
        if self.began.is_known() {
            batch.push_further(FlowRow { time: self.began, ..row });
        }
        for destination_address in &self.also_to {
            batch.push_further(FlowRow { destination_address: *destination_address, ..row });
        }
    }
}

/// Records as a frame.
pub(super) fn flow_frame(records: &[FlowRecord], vocabulary: &Vocabulary) -> Frame {
    let [
        time,
        began,
        cluster,
        node,
        source,
        source_port,
        destination,
        destination_port,
        also_to,
        protocol,
        verdict,
        initiator,
        certainty,
        reported,
        id,
    ] = STORED_FLOWS;
    let [source_prefix, destination_prefix, _] = END_PREFIXES;
    let mut columns = Columns::default();
    let rows = || records.iter().map(|record| &record.row);
    let (sources, destinations): (Vec<_>, Vec<_>) = rows().map(|row| (row.source, row.destination)).unzip();
    columns.time(time, rows().map(|row| row.time));
    columns.time(began, records.iter().map(|record| record.began));
    columns.text(cluster, rows().map(|row| vocabulary.text_of(row.cluster)));
    columns.text(node, rows().map(|row| vocabulary.text_of(row.node)));
    address_column(&mut columns, source, rows().map(|row| row.source_address), vocabulary);
    columns.number(source_port, rows().map(|row| row.source_port.into()));
    end_columns(&mut columns, source_prefix, &sources, vocabulary);
    address_column(&mut columns, destination, rows().map(|row| row.destination_address), vocabulary);
    columns.number(destination_port, rows().map(|row| row.destination_port.into()));
    end_columns(&mut columns, destination_prefix, &destinations, vocabulary);
    let further: Vec<String> = records.iter().map(|record| addresses_text(&record.also_to, vocabulary)).collect();
    columns.text(also_to, further.iter().map(String::as_str));
    columns.number(protocol, rows().map(|row| row.protocol.0.into()));
    columns.text(verdict, rows().map(|row| row.verdict.word()));
    columns.text(initiator, rows().map(|row| row.initiator.word()));
    columns.text(certainty, rows().map(|row| row.certainty.word()));
    let names: Vec<String> = rows().map(|row| chain_text(row.reported, vocabulary)).collect();
    columns.text(reported, names.iter().map(String::as_str));
    let ids: Vec<_> = rows().map(|row| vocabulary.record_id_text(row.id)).collect();
    columns.text(id, ids.iter().map(|id| &**id));
    repeat_columns(&mut columns, records, |_| Again::default());
    let volumes: Vec<Option<&Volume>> = records.iter().map(|record| record.volume.as_deref()).collect();
    if volumes.iter().any(Option::is_some) {
        count_columns(&mut columns, &volumes);
    }
    columns.frame()
}

fn addresses_text(addresses: &[AddressId], vocabulary: &Vocabulary) -> String {
    let texts: Vec<String> = addresses.iter().map(|address| vocabulary.address_of(*address).to_string()).collect();
    join_list(texts.iter().map(String::as_str))
}

/// The columns of a frame of flows.
struct FlowColumns<'a> {
    times: [Times<'a>; 2],
    cluster: Texts<'a>,
    node: Texts<'a>,
    addresses: [Texts<'a>; 2],
    ports: [Numbers<'a>; 2],
    ends: [EndColumns<'a>; 2],
    also_to: Texts<'a>,
    protocol: Numbers<'a>,
    verdict: Texts<'a>,
    initiator: Texts<'a>,
    certainty: Texts<'a>,
    reported: Texts<'a>,
    id: Option<Texts<'a>>,
    counts: Option<CountColumns<'a>>,
    repeats: RepeatColumn<'a>,
}

impl<'a> FlowColumns<'a> {
    fn of(frame: &'a Frame, with_ids: bool) -> Result<Self, FrameError> {
        let [
            time,
            began,
            cluster,
            node,
            source,
            source_port,
            destination,
            destination_port,
            also_to,
            protocol,
            verdict,
            initiator,
            certainty,
            reported,
            id,
        ] = STORED_FLOWS;
        let [source_prefix, destination_prefix, _] = END_PREFIXES;
        let text = |name: &str| frame.texts(name);
        Ok(Self {
            times: [frame.times(time)?, frame.times(began)?],
            cluster: text(cluster)?,
            node: text(node)?,
            addresses: [text(source)?, text(destination)?],
            ports: [frame.numbers(source_port)?, frame.numbers(destination_port)?],
            ends: [EndColumns::of(frame, source_prefix)?, EndColumns::of(frame, destination_prefix)?],
            also_to: text(also_to)?,
            protocol: frame.numbers(protocol)?,
            verdict: text(verdict)?,
            initiator: text(initiator)?,
            certainty: text(certainty)?,
            reported: text(reported)?,
            id: if with_ids { Some(text(id)?) } else { None },
            counts: CountColumns::of(frame)?,
            repeats: RepeatColumn::of(frame)?,
        })
    }
}

impl RowReader {
    /// Adds the rows of the records of a frame. A record with an address or a repeat that does not parse is counted and left out.
    pub(super) fn flows(
        &mut self,
        frame: &Frame,
        options: &ScanOptions,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
    ) -> Result<u64, FrameError> {
        let (mut has_repeats, mut broken) = (false, 0);
        self.each_flow(frame, options, vocabulary, &mut |record| match record {
            Some(record) => {
                has_repeats |= !record.again.is_empty();
                record.unfold(batch);
            }
            None => broken += 1,
        })?;
        self.has_repeats |= has_repeats;
        Ok(broken)
    }

    /// Hands over the records of a frame as they are stored; none for one that does not parse.
    pub(super) fn each_flow(
        &mut self,
        frame: &Frame,
        options: &ScanOptions,
        vocabulary: &mut Vocabulary,
        take: &mut dyn FnMut(Option<FlowRecord>),
    ) -> Result<(), FrameError> {
        let columns = FlowColumns::of(frame, options.with_ids)?;
        let [times, _] = columns.times;
        for row in (0..frame.rows()).filter(|row| options.reads(times.at(*row))) {
            take(self.flow(&columns, row, vocabulary));
        }
        Ok(())
    }

    fn flow(&mut self, columns: &FlowColumns<'_>, at: usize, vocabulary: &mut Vocabulary) -> Option<FlowRecord> {
        let [time, began] = columns.times;
        let [source_address, destination_address] = columns.addresses;
        let [source_port, destination_port] = columns.ports;
        let [source, destination] = &columns.ends;
        let (source, destination) = (self.end(source, at, vocabulary), self.end(destination, at, vocabulary));
        let reported = self.chain(columns.reported.at(at), vocabulary);
        let also_to = split_list(columns.also_to.at(at));
        let protocol = columns.protocol.get(at).and_then(|number| u8::try_from(number).ok());
        let row = FlowRow {
            time: time.at(at),
            cluster: vocabulary.text(columns.cluster.at(at)),
            node: vocabulary.text(columns.node.at(at)),
            source,
            destination,
            source_address: rebuilt(source_address.get(at), ChainId::NONE, source, vocabulary)?,
            destination_address: rebuilt(destination_address.get(at), reported, destination, vocabulary)?,
            source_port: port(source_port.at(at)),
            destination_port: port(destination_port.at(at)),
            protocol: protocol.map_or(Protocol::UNKNOWN, Protocol),
            verdict: Verdict::of_word(columns.verdict.at(at)).unwrap_or_default(),
            initiator: Initiator::of_word(columns.initiator.at(at)).unwrap_or_default(),
            certainty: Certainty::of_word(columns.certainty.at(at)).unwrap_or_default(),
            reported,
            id: columns.id.map_or(RecordId::NONE, |id| vocabulary.record_id(id.at(at))),
        };
        let also_to = also_to.iter().map(|text| address(text, vocabulary)).collect::<Option<_>>()?;
        let volume = columns.counts.as_ref().and_then(|counts| counts.volume(at)).map(Box::new);
        let again = read_repeats(columns.repeats.text(at), row.time, Again::default())?;
        Some(FlowRecord { row, began: began.at(at), also_to, volume, again })
    }
}
