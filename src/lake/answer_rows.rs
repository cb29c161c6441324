//! Answers as frames, and back; and questions that got none.
//!
//! In: rows with the vocabulary that their numbers belong to. Out: frames, one row for each pair of name and address, or
//! for each question; and the same rows again.

use super::codec::Word;
use super::frame::{Columns, Frame, FrameError};
use super::repeats::{Again, MINUTE_NANOS, Repeating, add_repeats, read_repeats};
use super::rows::{
    EndColumns, RepeatColumn, RowReader, address, address_column, chain_text, end_columns, port, rebuilt,
    repeat_columns,
};
use super::scan::ScanOptions;
use crate::model::columns::{END_PREFIXES, STORED_ANSWERS, STORED_QUESTIONS};
use crate::model::{
    AddressId, AnswerKind, AnswerRow, Batch, ChainId, EndpointId, NameId, QuestionRow, TextId, Timestamp, Vocabulary,
};

/// An answer, and when the same was said again.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) row: AnswerRow,
    again: Vec<Again>,
}

impl From<AnswerRow> for Answered {
    fn from(row: AnswerRow) -> Self {
        Self { row, again: Vec::new() }
    }
}

impl Answered {
    /// What may differ in a repeat.
    const fn own(&self) -> Again {
        Again { offset: 0, ttl_seconds: self.row.ttl_seconds, position: self.row.position }
    }

    fn unfold(&self, batch: &mut Batch) {
        batch.answers.push(self.row);
        batch.answers.extend(self.again.iter().map(|again| AnswerRow {
            time: self.row.time.plus_nanos(again.offset),
            ttl_seconds: again.ttl_seconds,
            position: again.position,
            ..self.row
        }));
    }
}

/// Who was told what by whom: everything but when, how long it holds, and in which order.
type AnswerKey = ([TextId; 2], [AddressId; 2], EndpointId, NameId, ChainId, u16, AnswerKind);

impl Repeating for Answered {
    type Key = AnswerKey;

    fn key(&self) -> Option<AnswerKey> {
        let row = &self.row;
        let texts = [row.cluster, row.resolver];
        Some((texts, [row.client, row.address], row.client_hint, row.name, row.chain, row.addresses, row.kind))
    }

    fn time(&self) -> Timestamp {
        self.row.time
    }

    fn again(&self) -> &[Again] {
        &self.again
    }

    fn gap(&self) -> i64 {
        MINUTE_NANOS
    }

    fn absorb(&mut self, later: Self, _: &Vocabulary) {
        let offset = later.row.time.nanos().saturating_sub(self.row.time.nanos());
        add_repeats(&mut self.again, offset, later.own(), &later.again);
    }
}

/// A question with its name, which a batch keeps elsewhere, and when it was asked again.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) row: QuestionRow,
    pub(super) name: Box<str>,
    pub(super) again: Vec<Again>,
}

/// Who asked for what in vain: everything but when.
type QuestionKey = (TextId, AddressId, EndpointId, NameId, u16, bool, Box<str>);

impl Repeating for Asked {
    type Key = QuestionKey;

    fn key(&self) -> Option<QuestionKey> {
        let row = &self.row;
        Some((row.cluster, row.client, row.client_hint, row.domain, row.kind, row.is_missing, self.name.clone()))
    }

    fn time(&self) -> Timestamp {
        self.row.time
    }

    fn again(&self) -> &[Again] {
        &self.again
    }

    fn gap(&self) -> i64 {
        MINUTE_NANOS
    }

    fn absorb(&mut self, later: Self, _: &Vocabulary) {
        let offset = later.row.time.nanos().saturating_sub(self.row.time.nanos());
        add_repeats(&mut self.again, offset, Again::default(), &later.again);
    }
}

impl Asked {
    /// The questions of a batch.
    pub(super) fn all(batch: &Batch) -> impl Iterator<Item = Self> {
        batch.questions.iter().map(|row| {
            let name = batch.question_text.get(row.start as usize..row.end as usize).unwrap_or_default();
            Self { row: *row, name: name.into(), again: Vec::new() }
        })
    }

    /// Adds the question to a batch, as often as it was asked; `None` when the batch is full.
    fn unfold(&self, batch: &mut Batch) -> Option<()> {
        let start = batch.question_text.len();
        let end = u32::try_from(start + self.name.len()).ok()?;
        let row = QuestionRow { start: u32::try_from(start).ok()?, end, ..self.row };
        batch.question_text.push_str(&self.name);
        batch.questions.push(row);
        let again = self.again.iter();
        batch.questions.extend(again.map(|again| QuestionRow { time: row.time.plus_nanos(again.offset), ..row }));
        Some(())
    }
}

/// Answers as a frame.
pub(super) fn answer_frame(answers: &[Answered], vocabulary: &Vocabulary) -> Frame {
    let [time, cluster, client, name, address, chain, ttl_seconds, position, addresses, kind, resolver] =
        STORED_ANSWERS;
    let [_, _, client_prefix] = END_PREFIXES;
    let mut columns = Columns::default();
    let rows = || answers.iter().map(|answer| &answer.row);
    columns.time(time, rows().map(|row| row.time));
    columns.text(cluster, rows().map(|row| vocabulary.text_of(row.cluster)));
    address_column(&mut columns, client, rows().map(|row| row.client), vocabulary);
    end_columns(&mut columns, client_prefix, &rows().map(|row| row.client_hint).collect::<Vec<_>>(), vocabulary);
    columns.text(name, rows().map(|row| vocabulary.name_of(row.name)));
    address_column(&mut columns, address, rows().map(|row| row.address), vocabulary);
    let chains: Vec<String> = rows().map(|row| chain_text(row.chain, vocabulary)).collect();
    columns.text(chain, chains.iter().map(String::as_str));
    columns.number(ttl_seconds, rows().map(|row| row.ttl_seconds));
    columns.number(position, rows().map(|row| row.position.into()));
    columns.number(addresses, rows().map(|row| row.addresses.into()));
    columns.text(kind, rows().map(|row| row.kind.word()));
    columns.text(resolver, rows().map(|row| vocabulary.text_of(row.resolver)));
    repeat_columns(&mut columns, answers, Answered::own);
    columns.frame()
}

/// Questions as a frame.
pub(super) fn question_frame(rows: &[Asked], vocabulary: &Vocabulary) -> Frame {
    let [time, cluster, client, name, domain, kind, is_missing] = STORED_QUESTIONS;
    let [_, _, client_prefix] = END_PREFIXES;
    let mut columns = Columns::default();
    let ends: Vec<_> = rows.iter().map(|asked| asked.row.client_hint).collect();
    columns.time(time, rows.iter().map(|asked| asked.row.time));
    columns.text(cluster, rows.iter().map(|asked| vocabulary.text_of(asked.row.cluster)));
    address_column(&mut columns, client, rows.iter().map(|asked| asked.row.client), vocabulary);
    end_columns(&mut columns, client_prefix, &ends, vocabulary);
    columns.text(name, rows.iter().map(|asked| &*asked.name));
    columns.text(domain, rows.iter().map(|asked| vocabulary.name_of(asked.row.domain)));
    columns.number(kind, rows.iter().map(|asked| asked.row.kind.into()));
    columns.flag(is_missing, rows.iter().map(|asked| asked.row.is_missing));
    repeat_columns(&mut columns, rows, |_| Again::default());
    columns.frame()
}

impl RowReader {
    /// Adds the answers of a frame. A row whose address or repeats do not parse is counted and left out.
    pub(super) fn answers(
        &mut self,
        frame: &Frame,
        options: &ScanOptions,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
    ) -> Result<u64, FrameError> {
        let mut broken = 0;
        self.each_answer(frame, options, vocabulary, &mut |answer| match answer {
            Some(answer) => answer.unfold(batch),
            None => broken += 1,
        })?;
        Ok(broken)
    }

    /// Hands over the answers of a frame as they are stored; none for a row that does not parse.
    pub(super) fn each_answer(
        &mut self,
        frame: &Frame,
        options: &ScanOptions,
        vocabulary: &mut Vocabulary,
        take: &mut dyn FnMut(Option<Answered>),
    ) -> Result<(), FrameError> {
        let [time, cluster, client, name, found, chain, ttl_seconds, position, addresses, kind, resolver] =
            STORED_ANSWERS;
        let [_, _, client_prefix] = END_PREFIXES;
        let text = |name: &str| frame.texts(name);
        let time = frame.times(time)?;
        let (cluster, client, name, found) = (text(cluster)?, text(client)?, text(name)?, text(found)?);
        let client_end = EndColumns::of(frame, client_prefix)?;
        let (chain, kind, resolver) = (text(chain)?, text(kind)?, text(resolver)?);
        let (ttl_seconds, position) = (frame.numbers(ttl_seconds)?, frame.numbers(position)?);
        let addresses = frame.numbers(addresses)?;
        let repeats = RepeatColumn::of(frame)?;
        for row in (0..frame.rows()).filter(|row| options.reads(time.at(*row))) {
            let client_hint = self.end(&client_end, row, vocabulary);
            let (Some(client), Some(found)) =
                (rebuilt(client.get(row), ChainId::NONE, client_hint, vocabulary), address(found.at(row), vocabulary))
            else {
                take(None);
                continue;
            };
            let answer = Answered::from(AnswerRow {
                time: time.at(row),
                cluster: vocabulary.text(cluster.at(row)),
                client,
                client_hint,
                name: vocabulary.name(name.at(row)),
                address: found,
                chain: self.chain(chain.at(row), vocabulary),
                ttl_seconds: ttl_seconds.at(row),
                position: port(position.at(row)),
                addresses: port(addresses.at(row)),
                kind: AnswerKind::of_word(kind.at(row)).unwrap_or(AnswerKind::Address),
                resolver: vocabulary.text(resolver.at(row)),
            });
            let again = read_repeats(repeats.text(row), answer.row.time, answer.own());
            take(again.map(|again| Answered { again, ..answer }));
        }
        Ok(())
    }

    /// Adds the questions of a frame. A row whose client or repeats do not parse is counted and left out.
    pub(super) fn questions(
        &mut self,
        frame: &Frame,
        options: &ScanOptions,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
    ) -> Result<u64, FrameError> {
        let mut broken = 0;
        self.each_question(frame, options, vocabulary, &mut |asked| {
            if asked.and_then(|asked| asked.unfold(batch)).is_none() {
                broken += 1;
            }
        })?;
        Ok(broken)
    }

    /// Hands over the questions of a frame as they are stored; none for a row that does not parse.
    pub(super) fn each_question(
        &mut self,
        frame: &Frame,
        options: &ScanOptions,
        vocabulary: &mut Vocabulary,
        take: &mut dyn FnMut(Option<Asked>),
    ) -> Result<(), FrameError> {
        let [time, cluster, client, name, domain, kind, is_missing] = STORED_QUESTIONS;
        let [_, _, client_prefix] = END_PREFIXES;
        let text = |name: &str| frame.texts(name);
        let time = frame.times(time)?;
        let (cluster, client, name, domain) = (text(cluster)?, text(client)?, text(name)?, text(domain)?);
        let client_end = EndColumns::of(frame, client_prefix)?;
        let (kind, is_missing) = (frame.numbers(kind)?, frame.flags(is_missing)?);
        let repeats = RepeatColumn::of(frame)?;
        for row in (0..frame.rows()).filter(|row| options.reads(time.at(*row))) {
            let client_hint = self.end(&client_end, row, vocabulary);
            let (Some(client), Some(again)) = (
                rebuilt(client.get(row), ChainId::NONE, client_hint, vocabulary),
                read_repeats(repeats.text(row), time.at(row), Again::default()),
            ) else {
                take(None);
                continue;
            };
            let question = QuestionRow {
                time: time.at(row),
                cluster: vocabulary.text(cluster.at(row)),
                client,
                client_hint,
                domain: vocabulary.name(domain.at(row)),
                kind: port(kind.at(row)),
                is_missing: is_missing.at(row),
                start: 0,
                end: 0,
            };
            take(Some(Asked { row: question, name: name.at(row).into(), again }));
        }
        Ok(())
    }
}
