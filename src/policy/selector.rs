//! Which pods a selector means: one form for the label selectors of all dialects.
//!
//! In: conditions on labels of the pod, of its namespace, and on a few attributes that dialects write as labels. Out: yes, no,
//! or a doubt. The depth of nesting is bounded by the parsers.

use super::{Doubt, Match};

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A label of the pod.
    Pod(Box<str>),
    /// A label of the pod's namespace. `kubernetes.io/metadata.name` is always known: Kubernetes itself sets it.
    Namespace(Box<str>),
    /// The name of the pod's namespace.
    NamespaceName,
    /// The name of the pod's service account.
    ServiceAccount,
    /// The name of the pod's cluster.
    Cluster,
    /// A label of the node that the end is or runs on.
    Node(Box<str>),
}

/// The value of a key on one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// It is there.
    Is(&'a str),
    /// It is not there.
    Absent,
    /// Nobody knows.
    Unknown(Doubt),
}

/// Something with labels.
pub trait Labelled {
    /// The value of a key.
    fn value(&self, key: &Key) -> Value<'_>;
}

/// A set of pods by their labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// All of these conditions; without any: every pod.
    All(Vec<Self>),
    /// At least one of these; without any: no pod.
    Any(Vec<Self>),
    /// The opposite.
    Not(Box<Self>),
    /// The key is there.
    Has(Key),
    /// The key is there with one of these values.
    In(Key, Vec<Box<str>>),
    /// The key is there, and its value begins so (Calico `starts with`).
    StartsWith(Key, Box<str>),
    /// The key is there, and its value ends so (Calico `ends with`).
    EndsWith(Key, Box<str>),
    /// The key is there, and its value has this in it (Calico `contains`).
    Contains(Key, Box<str>),
}

impl Selector {
    /// Every pod.
    pub const fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// No pod.
    pub const fn nothing() -> Self {
        Self::Any(Vec::new())
    }

    /// The pods of one namespace.
    pub fn in_namespace(name: &str) -> Self {
        Self::In(Key::NamespaceName, vec![name.into()])
    }

    /// Whether it is every pod by its form.
    pub fn is_everything(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(Self::is_everything),
            Self::Any(parts) => parts.iter().any(Self::is_everything),
            _ => false,
        }
    }

    /// Whether a pod is one of those meant.
    pub fn matches(&self, pod: &impl Labelled) -> Match {
        match self {
            Self::All(parts) => parts.iter().fold(Match::Yes, |so_far, part| so_far.and(part.matches(pod))),
            Self::Any(parts) => parts.iter().fold(Match::No, |so_far, part| so_far.or(part.matches(pod))),
            Self::Not(part) => part.matches(pod).negated(),
            Self::Has(key) => test(pod, key, |_| true),
            Self::In(key, values) => test(pod, key, |value| values.iter().any(|wanted| **wanted == *value)),
            Self::StartsWith(key, text) => test(pod, key, |value| value.starts_with(&**text)),
            Self::EndsWith(key, text) => test(pod, key, |value| value.ends_with(&**text)),
            Self::Contains(key, text) => test(pod, key, |value| value.contains(&**text)),
        }
    }

    /// The first condition that is certainly not met, for explanations.
    pub fn first_unmet(&self, pod: &impl Labelled) -> Option<&Self> {
        match self {
            Self::All(parts) => parts.iter().find_map(|part| part.first_unmet(pod)),
            _ => self.matches(pod).is_no().then_some(self),
        }
    }

    /// Every key that a condition asks for.
    pub fn keys(&self) -> Vec<&Key> {
        let mut found = Vec::new();
        let mut waiting = vec![self];
        while let Some(next) = waiting.pop() {
            match next {
                Self::All(parts) | Self::Any(parts) => waiting.extend(parts.iter().rev()),
                Self::Not(part) => waiting.push(part),
                Self::Has(key)
                | Self::In(key, _)
                | Self::StartsWith(key, _)
                | Self::EndsWith(key, _)
                | Self::Contains(key, _) => found.push(key),
            }
        }
        found
    }
}

fn test(pod: &impl Labelled, key: &Key, holds: impl FnOnce(&str) -> bool) -> Match {
    match pod.value(key) {
        Value::Is(value) => Match::of(holds(value)),
        Value::Absent => Match::No,
        Value::Unknown(doubt) => Match::Unknown(doubt),
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod(key) => f.write_str(key),
            Self::Namespace(key) => write!(f, "namespace label {key}"),
            Self::NamespaceName => f.write_str("namespace"),
            Self::ServiceAccount => f.write_str("service account"),
            Self::Cluster => f.write_str("cluster"),
            Self::Node(key) => write!(f, "node label {key}"),
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |f: &mut std::fmt::Formatter<'_>, parts: &[Self], between: &str| {
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    f.write_str(between)?;
                }
                write!(f, "{part}")?;
            }
            Ok(())
        };
        match self {
            Self::All(parts) if parts.is_empty() => f.write_str("everything"),
            Self::Any(parts) if parts.is_empty() => f.write_str("nothing"),
            Self::All(parts) => list(f, parts, ", "),
            Self::Any(parts) => {
                f.write_str("(")?;
                list(f, parts, " or ")?;
                f.write_str(")")
            }
            Self::Not(part) => write!(f, "not {part}"),
            Self::Has(key) => write!(f, "has {key}"),
            Self::In(key, values) => match values.as_slice() {
                [only] => write!(f, "{key}={only}"),
                _ => write!(f, "{key} in ({})", values.join(",")),
            },
            Self::StartsWith(key, text) => write!(f, "{key} starts with {text}"),
            Self::EndsWith(key, text) => write!(f, "{key} ends with {text}"),
            Self::Contains(key, text) => write!(f, "{key} contains {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pod(&'static [(&'static str, &'static str)]);

    impl Labelled for Pod {
        fn value(&self, key: &Key) -> Value<'_> {
            match key {
                Key::Pod(key) => self.0.iter().find(|(k, _)| *k == &**key).map_or(Value::Absent, |(_, v)| Value::Is(v)),
                _ => Value::Unknown(Doubt::NamespaceLabelsUnknown),
            }
        }
    }

    #[test]
    fn a_certain_answer_beats_a_doubt_where_it_decides() {
        let app = Selector::In(Key::Pod("app".into()), vec!["web".into()]);
        let team = Selector::Has(Key::Namespace("team".into()));
        let web = Pod(&[("app", "web")]);
        let other = Pod(&[]);
        let doubt = Match::Unknown(Doubt::NamespaceLabelsUnknown);
        let both = Selector::All(vec![team.clone(), app.clone()]);
        assert_eq!((both.matches(&web), both.matches(&other)), (doubt, Match::No));
        let either = Selector::Any(vec![team, app.clone()]);
        assert_eq!((either.matches(&web), either.matches(&other)), (Match::Yes, doubt));
        assert_eq!(Selector::Not(Box::new(app)).matches(&other), Match::Yes);
        assert_eq!(Selector::everything().matches(&other), Match::Yes);
        assert_eq!(Selector::nothing().matches(&other), Match::No);
    }
}
