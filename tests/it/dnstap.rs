//! dnstap captures: real ones to their exact account, cut, mangled and hostile ones, and both decoders against others.

mod captures;
mod differential;
mod hostile;
mod stream;

use std::path::PathBuf;

use egress_atlas::model::{Account, AnswerRow, Batch, Vocabulary};
use egress_atlas::read::dnstap::{DnstapDecoder, wire};
use egress_atlas::read::framestream::{CONTENT_TYPE, FRAME_BYTES_MAX, FrameSplitter, FrameStreamError};

/// What came of one capture.
#[derive(Default)]
struct Reading {
    account: Account,
    vocabulary: Vocabulary,
    batch: Batch,
    truncated: bool,
    error: Option<FrameStreamError>,
}

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dnstap").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn violations() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dnstap/upstream/dns-violations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| (path.file_name().unwrap().display().to_string(), std::fs::read(path).unwrap())).collect()
}

fn read(capture: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let mut splitter = FrameSplitter::new(capture, FRAME_BYTES_MAX);
    let mut decoder = DnstapDecoder::new();
    let mut chunk = Vec::new();
    loop {
        match splitter.next_chunk(&mut chunk) {
            Ok(Some(base)) => {
                decoder.decode(&chunk, base, &mut reading.vocabulary, &mut reading.batch, &mut reading.account);
            }
            Ok(None) => break,
            Err(error) => {
                reading.error = Some(error);
                break;
            }
        }
    }
    reading.truncated = splitter.was_truncated();
    assert!(reading.account.is_balanced());
    reading
}

impl Reading {
    fn rows(&self) -> Vec<String> {
        self.batch.answers.iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &AnswerRow) -> String {
        let words = &self.vocabulary;
        let chain: Vec<_> = words.chain_of(row.chain).iter().map(|name| words.name_of(*name)).collect();
        let hint = words.endpoint_of(row.client_hint).unwrap();
        format!(
            "{} {} {}/{} {} {} {:?} ttl {} {}/{} [{}] {}",
            row.time,
            words.address_of(row.client),
            hint.namespace,
            hint.pod,
            words.name_of(row.name),
            words.address_of(row.address),
            row.kind,
            row.ttl_seconds,
            row.position,
            row.addresses,
            chain.join(" "),
            words.text_of(row.resolver),
        )
    }

    fn summary(&self) -> String {
        let Account { read, used, rejected, excluded, notes } = &self.account;
        let mut lines = vec![format!("read {read}, used {used}, rows {}", self.batch.answers.len())];
        lines.extend(
            rejected
                .iter()
                .map(|(reason, count)| format!("rejected {} {}, first at {}", count.records, reason.0, count.first)),
        );
        lines.extend(excluded.iter().map(|(reason, records)| format!("excluded {records} {}", reason.0)));
        lines.extend(notes.iter().map(|(what, records)| format!("noted {records} {what}")));
        if self.truncated {
            lines.push("truncated".to_owned());
        }
        lines.extend(self.error.iter().map(ToString::to_string));
        lines.join("\n")
    }
}

fn control(number: u32, content_type: Option<&str>) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    if let Some(text) = content_type {
        payload.extend(1_u32.to_be_bytes());
        payload.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        payload.extend(text.as_bytes());
    }
    [vec![0; 4], u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec(), payload].concat()
}

fn start() -> Vec<u8> {
    control(2, Some(CONTENT_TYPE))
}

fn stop() -> Vec<u8> {
    control(3, None)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat()
}

/// A response to a client as `CoreDNS` sends it.
fn event(response: &[u8]) -> wire::Dnstap {
    wire::Dnstap {
        identity: Some(b"resolver".to_vec()),
        message: Some(wire::Message {
            r#type: wire::message::Type::ClientResponse.into(),
            query_address: Some(vec![10, 0, 0, 1]),
            query_time_sec: Some(1_000),
            query_time_nsec: Some(7),
            response_time_sec: Some(2_000),
            response_time_nsec: Some(9),
            response_message: Some(response.to_vec()),
            ..Default::default()
        }),
        r#type: wire::dnstap::Type::Message.into(),
        ..Default::default()
    }
}

fn capture(payloads: &[Vec<u8>]) -> Vec<u8> {
    [start(), payloads.iter().flat_map(|payload| frame(payload)).collect(), stop()].concat()
}

fn read_events(events: &[wire::Dnstap]) -> Reading {
    read(&capture(&events.iter().map(prost::Message::encode_to_vec).collect::<Vec<_>>()))
}
