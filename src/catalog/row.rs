//! One row of the catalog: what it matches, and when it applies.
//!
//! Rows of one group share everything but the match, the label and the sources. Nothing here looks anything up.

use crate::model::{Category, Protocol, Severity};

/// How the text of a row is compared. Ordered by precedence among matches of equal length, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Names below the text; the text itself and its `www` are not meant.
    Below,
    /// The name and all below it.
    Suffix,
    /// As `Suffix`, `*` stands for any run of characters inside one label.
    Glob,
    /// This name only.
    Exact,
    /// An address range.
    Network,
    /// A port or a range of ports.
    Port,
}

/// What a special address range is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Can be a real peer inside.
    Internal,
    /// Only this host or this link.
    Local,
    /// Documentation, discard or reserved: traffic to it is a finding.
    Never,
}

/// Which of the two questions a file answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Answer {
    /// What the destination is for.
    Category(Category),
    /// What is suspicious about it.
    Suspect,
    /// Nothing alone: weight for other findings, and a shorter category is taken away.
    Review,
}

impl Answer {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "internal" => Self::Category(Category::Internal),
            "infra" => Self::Category(Category::Infra),
            "vendor" => Self::Category(Category::Vendor),
            "registries" => Self::Category(Category::Registries),
            "unclassified" => Self::Category(Category::Unclassified),
            "suspect" => Self::Suspect,
            "review" => Self::Review,
            _ => return None,
        })
    }
}

/// The ports of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Ports {
    #[default]
    Any,
    Only(Box<[u16]>),
    Except(Box<[u16]>),
}

impl Ports {
    /// An unknown port rules nothing out.
    fn admit(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) | (_, None) => true,
            (Self::Only(ports), Some(port)) => ports.contains(&port),
            (Self::Except(ports), Some(port)) => !ports.contains(&port),
        }
    }
}

/// What the rows of one group share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) class: Box<str>,
    pub(super) answer: Answer,
    pub(super) why: Box<str>,
    pub(super) severity: Severity,
    pub(super) attack: Box<[Box<str>]>,
    pub(super) caution: Box<str>,
    pub(super) advice: Box<str>,
    pub(super) scope: Option<Scope>,
    pub(super) ports: Ports,
    /// Empty: every protocol.
    pub(super) protocols: Box<[Protocol]>,
}

impl Group {
    /// Whether rows of this group are meant for traffic to `port` over `protocol`.
    pub(super) fn applies(&self, port: Option<u16>, protocol: Protocol) -> bool {
        let spoken = self.protocols.is_empty() || protocol == Protocol::UNKNOWN || self.protocols.contains(&protocol);
        spoken && self.ports.admit(port)
    }

    /// The category that a match gives, if it gives one.
    pub(super) fn category(&self) -> Option<Category> {
        match (self.scope, self.answer) {
            (Some(Scope::Internal), _) => Some(Category::Internal),
            (Some(Scope::Local), _) => Some(Category::Infra),
            (Some(Scope::Never), _) => Some(Category::Unclassified),
            (None, Answer::Category(category)) => Some(category),
            (None, Answer::Suspect | Answer::Review) => None,
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Index of its group.
    pub(super) group: usize,
    pub(super) kind: Kind,
    pub(super) text: Box<str>,
    pub(super) label: Box<str>,
    /// Indexes of its sources, never empty.
    pub(super) sources: Box<[usize]>,
}

impl Row {
    /// What was matched, as findings print it: `ngrok.io suffix`, `169.254.169.254/32 except port 53, 123`.
    pub(super) fn describe(&self, group: &Group) -> String {
        let text = match self.kind {
            Kind::Port => format!("port {}", self.text),
            Kind::Network | Kind::Exact => self.text.to_string(),
            Kind::Glob => format!("{} pattern", self.text),
            Kind::Suffix => format!("{} suffix", self.text),
            Kind::Below => format!("below {}", self.text),
        };
        let list = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        match &group.ports {
            Ports::Any => text,
            Ports::Only(ports) => format!("{text} port {}", list(ports)),
            Ports::Except(ports) => format!("{text} except port {}", list(ports)),
        }
    }
}
