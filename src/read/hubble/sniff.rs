//! Whether content is Hubble JSON, and how it is framed.
//!
//! In: the first piece of a file or stream (up to 64 KiB). Out: one record per line, or objects in another layout.
//! Looks past log lines that stand before the first record. Decides by the keys of whole records, and by the first keys
//! of a record that is cut off; never claims another product's JSON.

use memchr::memchr;
use memchr::memmem;

use super::line::{Content, content};
use super::objects::{Piece, pieces};
use super::parse;
use super::record::Shape;

/// How records are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One record per line.
    Lines,
    /// Objects over several lines, or members of a list.
    Objects,
}

/// How many lines may turn out not to begin an object that spans lines; each try reads on to that object's end.
const LAYOUT_ATTEMPTS: u32 = 16;

/// How the first piece of content (up to 64 KiB) is framed, if it looks like Hubble JSON.
pub fn sniff(head: &[u8]) -> Option<Framing> {
    let mut rest = head;
    let mut attempts = LAYOUT_ATTEMPTS;
    while !rest.is_empty() {
        let newline = memchr(b'\n', rest);
        let (line, next) = rest.split_at_checked(newline.map_or(rest.len(), |newline| newline + 1))?;
        if let Content::Whole(record) = content(line) {
            match record.first() {
                Some(b'{') if is_record(record) => return Some(Framing::Lines),
                Some(b'{') if newline.is_none() && starts_as_record(record) => return Some(Framing::Lines),
                Some(b'{' | b'[') if attempts > 0 => {
                    if is_laid_out(rest) {
                        return Some(Framing::Objects);
                    }
                    attempts -= 1;
                }
                _ => {}
            }
        }
        rest = next;
    }
    None
}

/// Whether one line holds a record of Hubble.
fn is_record(line: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(line) else { return false };
    match parse::shape(text) {
        None | Some(Shape::Foreign) => false,
        Some(Shape::Envelope) => {
            let inner = parse::enveloped(text).unwrap_or_default();
            match content(inner.as_bytes()) {
                Content::Whole(inner) => std::str::from_utf8(inner)
                    .ok()
                    .and_then(parse::shape)
                    .is_some_and(|shape| !matches!(shape, Shape::Foreign | Shape::Envelope)),
                _ => false,
            }
        }
        Some(_) => true,
    }
}

/// Whether the first object of `text` spans lines or sits in a list, and is a record.
fn is_laid_out(text: &[u8]) -> bool {
    match pieces(text).find(|(_, piece)| *piece != Piece::Foreign) {
        Some((_, Piece::Object(object))) => is_record(object),
        Some((start, Piece::Broken)) => text.get(start..).is_some_and(starts_as_record),
        _ => false,
    }
}

/// Whether a record that is cut off starts with the keys that Hubble writes first.
fn starts_as_record(text: &[u8]) -> bool {
    let has = |key: &[u8]| memmem::find(text, key).is_some();
    let wrapped = has(b"\"flow\"") || has(b"\\\"flow\\\"");
    let own_keys = has(b"verdict") && (has(b"IP") || has(b"ethernet"));
    let other = ["\"lost_events\"", "\"lostEvents\"", "\"agent_event\"", "\"debug_event\"", "\"node_status\""];
    (wrapped && own_keys)
        || (own_keys && has(b"\"verdict\"") && has(b"\"IP\""))
        || other.iter().any(|key| has(key.as_bytes()))
}
