//! A dnstap connection in one piece and in small ones: nothing panics, and pieces change neither frames nor the end.
#![no_main]

use egress_atlas::collect::session::{Event, Session};
use libfuzzer_sys::fuzz_target;

/// All frames, whether the framing was lost, and the counts.
fn spoken(bytes: &[u8], length: usize) -> (Vec<u8>, bool, u64, u64) {
    let (mut session, mut frames) = (Session::default(), Vec::new());
    for piece in bytes.chunks(length) {
        session.push(piece);
        loop {
            match session.next_event() {
                Ok(None) => break,
                Ok(Some(Event::Frames(some))) => frames.extend(some),
                Ok(Some(Event::Reply(_))) => {}
                Ok(Some(Event::Stop(_))) => return (frames, false, session.frames, session.too_long),
                Err(_) => return (frames, true, session.frames, session.too_long),
            }
        }
    }
    (frames, false, session.frames, session.too_long)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = spoken(bytes, usize::MAX);
    assert!(whole.0.len() <= bytes.len());
    assert_eq!(whole, spoken(bytes, 1));
    assert_eq!(whole, spoken(bytes, 7));
});
