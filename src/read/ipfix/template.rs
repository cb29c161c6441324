//! Templates: what the fields of a data record are, by observation domain and number.
//!
//! In: the body of a template set. Out: templates to cut records with. Numbers and total size are bounded; a withdrawn
//! template is forgotten, and one that is not sent again expires where the transport asks for it (RFC 7011 section 8).

use std::collections::BTreeMap;

use crate::model::Rejected;

/// A field whose length stands in the record (RFC 7011 section 7).
const VARIABLE: u16 = u16::MAX;
/// Fields of all templates together; Antrea's largest template has 83.
const FIELDS_MAX: usize = 1 << 16;
const TEMPLATES_MAX: usize = 4096;

/// The number of template sets.
pub(super) const TEMPLATE_SET: u16 = 2;
/// The number of options template sets.
pub(super) const OPTIONS_SET: u16 = 3;
/// Data sets have numbers from here on.
pub(super) const DATA_SETS: u16 = 256;

const BROKEN: Rejected = Rejected("broken IPFIX template");
const TOO_MANY: Rejected = Rejected("IPFIX templates beyond any reasonable number");

/// One field of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// 0 for elements of the IANA registry.
    pub(super) enterprise: u32,
    pub(super) id: u16,
    length: u16,
}

/// What the records of a data set are.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) fields: Box<[Field]>,
    pub(super) is_options: bool,
    /// The template as it was sent, to hand it on.
    pub(super) raw: Box<[u8]>,
    pub(super) learnt: u32,
    minimum: usize,
    /// Whether every record has the minimum's length.
    is_fixed: bool,
    /// Fields as sent, those without a length included: what keeping it costs.
    sent_fields: usize,
}

/// All templates of one transport session.
#[derive(Clone, Debug, Default)]
pub(super) struct Templates {
    known: BTreeMap<(u32, u16), Template>,
    fields: usize,
    /// Seconds after which a template that was not sent again is forgotten; never without it.
    pub(super) lifetime_seconds: Option<u32>,
    /// Whether templates may be withdrawn; over UDP they may not.
    pub(super) keeps_withdrawn: bool,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

impl Templates {
    /// Reads all templates of a set.
    pub(super) fn learn(&mut self, set: u16, body: &[u8], domain: u32, time: u32) -> Result<(), Rejected> {
        let mut rest = body;
        // What is shorter than the shortest template is padding.
        while rest.len() >= 4 {
            let (Some(id), Some(count)) = (u16_at(rest, 0), u16_at(rest, 2)) else { break };
            if id == 0 && count == 0 {
                break;
            }
            if count == 0 {
                self.withdraw(set, id, domain);
                rest = rest.get(4..).unwrap_or_default();
                continue;
            }
            let (template, length) = Template::read(set, count, rest, time).ok_or(BROKEN)?;
            if id < DATA_SETS {
                return Err(BROKEN);
            }
            self.forget(domain, id);
            if self.known.len() >= TEMPLATES_MAX || self.fields + template.sent_fields > FIELDS_MAX {
                return Err(TOO_MANY);
            }
            self.fields += template.sent_fields;
            self.known.insert((domain, id), template);
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Forgets all templates.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.fields = 0;
    }

    fn forget(&mut self, domain: u32, id: u16) {
        if let Some(old) = self.known.remove(&(domain, id)) {
            self.fields = self.fields.saturating_sub(old.sent_fields);
        }
    }

    /// A template without fields withdraws that template; with the number of its set, all of the kind.
    fn withdraw(&mut self, set: u16, id: u16, domain: u32) {
        if self.keeps_withdrawn {
            return;
        }
        if id >= DATA_SETS {
            return self.forget(domain, id);
        }
        let all: Vec<u16> = self
            .known
            .iter()
            .filter(|((of, _), template)| *of == domain && template.is_options == (set == OPTIONS_SET))
            .map(|((_, id), _)| *id)
            .collect();
        for id in all {
            self.forget(domain, id);
        }
    }

    /// The template of a data set, unless it is too old at `time`.
    pub(super) fn get(&self, domain: u32, id: u16, time: u32) -> Option<&Template> {
        self.known.get(&(domain, id)).filter(|template| self.is_good(template, time))
    }

    /// Whether a template is not too old at `time`.
    pub(super) fn is_good(&self, template: &Template, time: u32) -> bool {
        self.lifetime_seconds.is_none_or(|lifetime| time.saturating_sub(template.learnt) <= lifetime)
    }

    /// All templates, by domain and number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Template)> {
        self.known.iter().map(|((domain, _), template)| (*domain, template))
    }
}

impl Template {
    /// Reads one template and how many bytes it takes.
    fn read(set: u16, count: u16, bytes: &[u8], learnt: u32) -> Option<(Self, usize)> {
        let is_options = set == OPTIONS_SET;
        let mut at = if is_options { 6 } else { 4 };
        let mut fields = Vec::new();
        for _ in 0..count {
            let (id, length) = (u16_at(bytes, at)?, u16_at(bytes, at + 2)?);
            at += 4;
            let enterprise = if id & 0x8000 == 0 {
                0
            } else {
                let number = bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
                at += 4;
                number
            };
            // A field of no length says nothing in any record. Without those, a record has at least as many bytes as fields.
            if length > 0 {
                fields.push(Field { enterprise, id: id & 0x7fff, length });
            }
        }
        let minimum =
            fields.iter().map(|field| if field.length == VARIABLE { 1 } else { usize::from(field.length) }).sum();
        // Records of no length would never end.
        if minimum == 0 {
            return None;
        }
        let raw = bytes.get(..at)?.into();
        let is_fixed = fields.iter().all(|field| field.length != VARIABLE);
        let fields = fields.into_boxed_slice();
        let sent_fields = usize::from(count);
        Some((Self { fields, is_options, raw, learnt, minimum, is_fixed, sent_fields }, at))
    }

    /// The shortest record of this template, in bytes; what is left of a set and shorter is padding.
    pub(super) const fn minimum(&self) -> usize {
        self.minimum
    }

    /// The length of the record that `bytes` begin with; `None` when it is cut off.
    pub(super) fn length(&self, bytes: &[u8]) -> Option<usize> {
        if self.is_fixed { Some(self.minimum) } else { self.each_value(bytes, |_, _| {}) }
    }

    /// The values of the record that `bytes` begin with, in the order of the fields; `None` when it is cut off.
    pub(super) fn each_value<'a>(&self, bytes: &'a [u8], mut take: impl FnMut(&Field, &'a [u8])) -> Option<usize> {
        let mut at = 0;
        for field in &self.fields {
            let length = match field.length {
                VARIABLE => match *bytes.get(at)? {
                    255 => {
                        at += 3;
                        usize::from(u16_at(bytes, at - 2)?)
                    }
                    short => {
                        at += 1;
                        usize::from(short)
                    }
                },
                fixed => usize::from(fixed),
            };
            take(field, bytes.get(at..at + length)?);
            at += length;
        }
        Some(at)
    }
}
