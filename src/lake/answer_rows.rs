//! Answers as frames, and back; and questions that got none.
//!
//! In: rows with the vocabulary that their numbers belong to. Out: frames, one row for each pair of name and address, or
//! for each question; and the same rows again.

use polars::prelude::{DataFrame, PolarsResult};

use super::codec::Word;
use super::frame::{Columns, flags, numbers, texts, time_at, times};
use super::rows::{EndColumns, RowReader, address, address_column, chain_text, end_columns, port, rebuilt, text_at};
use crate::model::columns::{END_PREFIXES, STORED_ANSWERS, STORED_QUESTIONS};
use crate::model::{AnswerKind, AnswerRow, Batch, ChainId, QuestionRow, Vocabulary};

/// A question with its name, which a batch keeps elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) row: QuestionRow,
    pub(super) name: Box<str>,
}

impl Asked {
    /// The questions of a batch.
    pub(super) fn all(batch: &Batch) -> impl Iterator<Item = Self> {
        batch.questions.iter().map(|row| {
            let name = batch.question_text.get(row.start as usize..row.end as usize).unwrap_or_default();
            Self { row: *row, name: name.into() }
        })
    }
}

/// Answers as a frame.
pub(super) fn answer_frame(rows: &[AnswerRow], vocabulary: &Vocabulary) -> Result<DataFrame, String> {
    let [time, cluster, client, name, address, chain, ttl_seconds, position, addresses, kind, resolver] =
        STORED_ANSWERS;
    let [_, _, client_prefix] = END_PREFIXES;
    let mut columns = Columns::default();
    columns.time(time, rows.iter().map(|row| row.time));
    columns.text(cluster, rows.iter().map(|row| vocabulary.text_of(row.cluster)));
    address_column(&mut columns, client, rows.iter().map(|row| row.client), vocabulary);
    end_columns(&mut columns, client_prefix, &rows.iter().map(|row| row.client_hint).collect::<Vec<_>>(), vocabulary);
    columns.text(name, rows.iter().map(|row| vocabulary.name_of(row.name)));
    address_column(&mut columns, address, rows.iter().map(|row| row.address), vocabulary);
    let chains: Vec<String> = rows.iter().map(|row| chain_text(row.chain, vocabulary)).collect();
    columns.text(chain, chains.iter().map(String::as_str));
    columns.number(ttl_seconds, rows.iter().map(|row| row.ttl_seconds));
    columns.number(position, rows.iter().map(|row| row.position.into()));
    columns.number(addresses, rows.iter().map(|row| row.addresses.into()));
    columns.text(kind, rows.iter().map(|row| row.kind.word()));
    columns.text(resolver, rows.iter().map(|row| vocabulary.text_of(row.resolver)));
    columns.frame(rows.len())
}

/// Questions as a frame.
pub(super) fn question_frame(rows: &[Asked], vocabulary: &Vocabulary) -> Result<DataFrame, String> {
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
    columns.frame(rows.len())
}

impl RowReader {
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
            let client_hint = self.end(&client_end, row, vocabulary);
            let (Some(client), Some(found)) = (
                rebuilt(client.get(row), ChainId::NONE, client_hint, vocabulary),
                address(text_at(found, row), vocabulary),
            ) else {
                broken += 1;
                continue;
            };
            let answer = AnswerRow {
                time: time_at(&time, row),
                cluster: vocabulary.text(text_at(cluster, row)),
                client,
                client_hint,
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

    /// Adds the questions of a frame. A row whose client does not parse is counted and left out.
    pub(super) fn questions(
        &mut self,
        frame: &DataFrame,
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
    ) -> PolarsResult<u64> {
        let [time, cluster, client, name, domain, kind, is_missing] = STORED_QUESTIONS;
        let [_, _, client_prefix] = END_PREFIXES;
        let text = |name: &str| texts(frame, name);
        let time = times(frame, time)?;
        let (cluster, client, name, domain) = (text(cluster)?, text(client)?, text(name)?, text(domain)?);
        let client_end = EndColumns::of(frame, client_prefix)?;
        let (kind, is_missing) = (numbers(frame, kind)?, flags(frame, is_missing)?);
        let mut broken = 0;
        for row in 0..frame.height() {
            let client_hint = self.end(&client_end, row, vocabulary);
            let start = batch.question_text.len();
            let end = start + text_at(name, row).len();
            let (Some(client), Ok(start), Ok(end)) = (
                rebuilt(client.get(row), ChainId::NONE, client_hint, vocabulary),
                u32::try_from(start),
                u32::try_from(end),
            ) else {
                broken += 1;
                continue;
            };
            batch.question_text.push_str(text_at(name, row));
            batch.questions.push(QuestionRow {
                time: time_at(&time, row),
                cluster: vocabulary.text(text_at(cluster, row)),
                client,
                client_hint,
                domain: vocabulary.name(text_at(domain, row)),
                kind: port(kind.get(row)),
                is_missing: is_missing.get(row).unwrap_or_default(),
                start,
                end,
            });
        }
        Ok(broken)
    }
}
