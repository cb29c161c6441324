//! Names in rules: exact, or a pattern whose meaning is that of its dialect.
//!
//! The same text means different sets of names in different dialects; a parser turns it into one of the forms below, and the
//! text is kept for the reader. Names are compared in lower case, without the final dot, as they were asked.

/// A pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern {
    /// As written.
    pub text: Box<str>,
    pieces: Vec<Piece>,
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Piece {
    /// These characters.
    Text(Box<str>),
    /// Any characters that a label may have, none too.
    WithinLabel,
    /// Any characters, dots too; none too.
    Anything,
    /// One or more labels, each with its dot.
    Labels,
}

/// What a star means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcard {
    /// Cilium `matchPattern`: within a label; a leading `**.` spans labels since 1.19; `*` alone is every name.
    Cilium,
    /// Antrea `fqdn`: any characters, dots too.
    Antrea,
    /// `*.` in front only, one or more labels (Calico Enterprise, `ClusterNetworkPolicy`).
    Leading,
}

impl NamePattern {
    /// One name.
    pub fn exact(name: &str) -> Self {
        let name = normal(name);
        Self { text: name.clone().into(), pieces: vec![Piece::Text(name.into())] }
    }

    /// A pattern as a dialect writes it.
    pub fn parse(text: &str, wildcard: Wildcard) -> Self {
        let name = normal(text);
        let mut rest = name.as_str();
        let mut pieces = Vec::new();
        match wildcard {
            _ if name == "*" => {
                pieces.push(Piece::Anything);
                rest = "";
            }
            Wildcard::Cilium => {
                if let Some(after) = rest.strip_prefix("**.") {
                    pieces.push(Piece::Labels);
                    rest = after;
                }
            }
            Wildcard::Leading => {
                if let Some(after) = rest.strip_prefix("*.") {
                    pieces.push(Piece::Labels);
                    rest = after;
                }
            }
            Wildcard::Antrea => {}
        }
        let star = if wildcard == Wildcard::Antrea { Piece::Anything } else { Piece::WithinLabel };
        for (place, part) in rest.split('*').enumerate() {
            if place > 0 && pieces.last() != Some(&star) {
                pieces.push(star.clone());
            }
            if !part.is_empty() {
                pieces.push(Piece::Text(part.into()));
            }
        }
        Self { text: name.into(), pieces }
    }

    /// Whether it is one name.
    pub fn is_exact(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// Whether it is every name.
    pub fn is_everything(&self) -> bool {
        self.pieces == [Piece::Anything]
    }

    /// Whether a name, lower case and without the final dot, is one of those meant.
    ///
    /// Takes time in proportion to the lengths multiplied: positions reached so far are carried from piece to piece.
    pub fn matches(&self, name: &str) -> bool {
        if let [Piece::Text(only)] = self.pieces.as_slice() {
            return **only == *name;
        }
        let bytes = name.as_bytes();
        let mut reached = vec![false; bytes.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        for piece in &self.pieces {
            reached = advance(piece, bytes, &reached);
        }
        reached.last().copied().unwrap_or(false)
    }
}

/// The positions behind a piece, given those before it.
fn advance(piece: &Piece, name: &[u8], before: &[bool]) -> Vec<bool> {
    let mut after = vec![false; before.len()];
    let mut running = false;
    for (at, reached) in before.iter().enumerate() {
        match piece {
            Piece::Text(text) => {
                let end = at + text.len();
                if *reached
                    && name.get(at..end) == Some(text.as_bytes())
                    && let Some(slot) = after.get_mut(end)
                {
                    *slot = true;
                }
            }
            Piece::Anything => {
                running |= *reached;
                if let Some(slot) = after.get_mut(at) {
                    *slot = running;
                }
            }
            Piece::WithinLabel => {
                // A dot before this position ends what a star may run through.
                let dot = at.checked_sub(1).and_then(|last| name.get(last)) == Some(&b'.');
                running = *reached || (running && !dot);
                if let Some(slot) = after.get_mut(at) {
                    *slot = running;
                }
            }
            Piece::Labels => {
                let dot = at.checked_sub(1).and_then(|last| name.get(last)) == Some(&b'.');
                if let Some(slot) = after.get_mut(at) {
                    *slot = running && dot && at > 1;
                }
                running |= *reached;
            }
        }
    }
    after
}

fn normal(text: &str) -> String {
    text.trim().trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_string_means_what_its_dialect_says() {
        let check = |pattern: &str, name: &str, cilium: bool, antrea: bool, leading: bool| {
            let matches = |wildcard| NamePattern::parse(pattern, wildcard).matches(name);
            let found = (matches(Wildcard::Cilium), matches(Wildcard::Antrea), matches(Wildcard::Leading));
            assert_eq!(found, (cilium, antrea, leading), "{pattern} on {name}");
        };
        check("x.com", "x.com", true, true, true);
        check("X.com.", "x.com", true, true, true);
        check("x.com", "ax.com", false, false, false);
        check("*.x.com", "a.x.com", true, true, true);
        check("*.x.com", "a.b.x.com", false, true, true);
        check("*.x.com", "x.com", false, false, false);
        check("*.x.com", ".x.com", true, true, false);
        check("**.x.com", "a.b.x.com", true, true, false);
        check("*x.com", "x.com", true, true, true);
        check("a*.x.com", "ab.x.com", true, true, true);
        check("a*.x.com", "a.b.x.com", false, true, false);
        check("www.*.com", "www.a.com", true, true, true);
        check("www.*.com", "www.a.b.com", false, true, false);
        check("*", "a.b.c", true, true, true);
        check("", "a", false, false, false);
    }
}
