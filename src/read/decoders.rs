//! One decoder of every format: what a worker needs to read any input.
//!
//! In: a chunk and what is known of the input it is from. Out: rows and account entries. It decides nothing; the match of
//! formats stands here so that it stands nowhere else.

use super::antrea::{AntreaCsvDecoder, AntreaLogDecoder};
use super::calico::{CalicoDecoder, CalicoDnsDecoder, CalicoLogDecoder, GoldmaneDecoder};
use super::dnstap::DnstapDecoder;
use super::hubble::HubbleDecoder;
use super::input::Format;
use super::ipfix::IpfixDecoder;
use super::open::Framing;
use crate::model::{Account, Batch, Timestamp, Vocabulary};

/// What is known of an input as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// What it holds.
    pub format: Format,
    /// How its records are told apart.
    pub framing: Framing,
    /// The first line, when it names the columns.
    pub header: Option<&'a str>,
    /// Whether clusters that records name by an identifier count; not when the user named the input's cluster.
    pub with_cluster_ids: bool,
}

/// One decoder of every format, for one vocabulary.
#[derive(Default)]
pub struct Decoders {
    hubble: Option<HubbleDecoder>,
    dnstap: DnstapDecoder,
    calico: CalicoDecoder,
    calico_dns: CalicoDnsDecoder,
    calico_log: CalicoLogDecoder,
    goldmane: GoldmaneDecoder,
    antrea_log: AntreaLogDecoder,
    antrea_csv: AntreaCsvDecoder,
    ipfix: IpfixDecoder,
    keep_ids: bool,
}

impl Decoders {
    /// Decoders that keep the sources' record ids if asked to. Times without a year are the last such date not after
    /// `latest`.
    pub fn new(keep_ids: bool, latest: Option<Timestamp>) -> Self {
        Self { calico_log: CalicoLogDecoder::new(latest), keep_ids, ..Self::default() }
    }

    /// Decodes a chunk of whole records; `base` is the byte offset of the chunk in its stream.
    pub fn decode(
        &mut self,
        layout: Layout<'_>,
        (chunk, base): (&[u8], u64),
        vocabulary: &mut Vocabulary,
        batch: &mut Batch,
        account: &mut Account,
    ) {
        let Layout { format, framing, header, with_cluster_ids: ids } = layout;
        match format {
            Format::Dnstap => self.dnstap.decode(chunk, base, vocabulary, batch, account),
            Format::Calico => self.calico.decode(chunk, base, framing, vocabulary, batch, account),
            Format::CalicoDns => self.calico_dns.decode(chunk, base, framing, vocabulary, batch, account),
            Format::CalicoLog => self.calico_log.decode(chunk, base, vocabulary, batch, account),
            Format::Goldmane => self.goldmane.decode(chunk, base, framing, vocabulary, batch, account),
            Format::AntreaLog => self.antrea_log.decode(chunk, base, framing, ids, vocabulary, batch, account),
            Format::AntreaCsv => self.antrea_csv.decode(chunk, base, header, ids, vocabulary, batch, account),
            Format::Ipfix => {
                let decoder = std::mem::take(&mut self.ipfix);
                self.ipfix = decoder.with_cluster_ids(ids);
                self.ipfix.decode(chunk, base, vocabulary, batch, account);
            }
            Format::Hubble | Format::Kube => {
                let keep_ids = self.keep_ids;
                let hubble = self.hubble.get_or_insert_with(|| HubbleDecoder::new(keep_ids));
                if framing == Framing::Objects {
                    hubble.decode_objects(chunk, base, vocabulary, batch, account);
                } else {
                    hubble.decode_lines(chunk, base, vocabulary, batch, account);
                }
            }
        }
    }
}
