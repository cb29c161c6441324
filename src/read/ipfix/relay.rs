//! A live transport session that hands its messages on, in chunks that need nothing from before them.
//!
//! In: bytes of a connection or datagrams. Out: chunks as those of [`super::IpfixChunks`]: the templates known so far, then whole
//! messages. So a log of chunks can be cut anywhere, and whoever decodes one needs no state. Bounded by one message, one chunk and
//! the templates of one exporter.

use super::session::{HEADER_BYTES, Header, Lost, Session};

/// Templates beyond this are refused: they stand at the head of every chunk. Antrea's two have 1.2 KB together.
const TEMPLATE_BYTES_MAX: usize = 64 << 10;

/// One exporter's session on its way to the log.
#[derive(Debug, Default)]
pub struct IpfixRelay {
    session: Session,
    /// The beginning of a message whose end has not come yet.
    rest: Vec<u8>,
    offset: u64,
    /// Templates as they were before the first waiting message, then the messages.
    chunk: Vec<u8>,
    messages: u64,
}

impl IpfixRelay {
    /// A session over a connection (TCP, TLS): templates live as long as it does.
    pub fn new() -> Self {
        Self::default()
    }

    /// A session over UDP, one per sender. A template that was not sent again for `template_seconds` is forgotten; RFC 7011
    /// section 8.4 asks for three times the sender's refresh interval.
    pub fn udp(template_seconds: u32) -> Self {
        Self { session: Session::udp(template_seconds), ..Self::default() }
    }

    /// Takes the next bytes of a connection, cut anywhere. An error is final: nobody knows where the next message begins.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let mut waiting = std::mem::take(&mut self.rest);
        waiting.extend_from_slice(bytes);
        let mut rest = waiting.as_slice();
        let outcome = loop {
            if rest.len() < HEADER_BYTES {
                break Ok(());
            }
            let Some(header) = Header::read(rest) else { break Err(Lost { offset: self.offset }) };
            let Some((message, next)) = rest.split_at_checked(header.length) else { break Ok(()) };
            if !self.keep(header, message) {
                break Err(Lost { offset: self.offset });
            }
            self.offset = self.offset.wrapping_add(message.len() as u64);
            rest = next;
        };
        let done = waiting.len() - rest.len();
        waiting.drain(..done);
        self.rest = waiting;
        outcome
    }

    /// Takes one datagram, which holds exactly one message; `false` when it does not, or when the exporter begins anew because it
    /// had too many templates.
    pub fn datagram(&mut self, bytes: &[u8]) -> bool {
        let header = Header::read(bytes).filter(|header| header.length == bytes.len());
        header.is_some_and(|header| self.keep(header, bytes))
    }

    /// Keeps a message, unless its exporter has more templates than anybody means.
    fn keep(&mut self, header: Header, message: &[u8]) -> bool {
        if self.chunk.is_empty() {
            self.session.write_templates(header.time, &mut self.chunk);
        }
        self.chunk.extend_from_slice(message);
        self.session.message(header, message, &mut |_| {});
        self.messages += 1;
        let templates: usize = self.session.templates.iter().map(|(_, template)| template.raw.len()).sum();
        if templates > TEMPLATE_BYTES_MAX {
            self.session.templates.clear();
            return false;
        }
        true
    }

    /// Bytes of the chunk so far.
    pub fn waiting(&self) -> usize {
        self.chunk.len()
    }

    /// The chunk and how many messages came with it; empty when none did.
    pub fn take(&mut self) -> (Vec<u8>, u64) {
        (std::mem::take(&mut self.chunk), std::mem::take(&mut self.messages))
    }

    /// Whether the bytes so far end between messages.
    pub fn is_between_messages(&self) -> bool {
        self.rest.is_empty()
    }
}
