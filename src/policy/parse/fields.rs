//! Strict access to an object: every key is known, every value of its type, every error with its place and remedy.

use std::net::IpAddr;

use ipnet::IpNet;

use super::node::{Content, Node};
use crate::catalog::suggestion;
use crate::policy::Problem;

/// What every message about an object says.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    pub(super) file: Box<str>,
    pub(super) document: usize,
    pub(super) object: Box<str>,
}

/// A value of an object, with its path.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) origin: &'a Origin,
}

/// A mapping all of whose keys are known.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    pub(super) item: Item<'a>,
}

impl<'a> Item<'a> {
    /// The error that says what is wrong here.
    pub(super) fn refuse(&self, message: impl Into<Box<str>>) -> Problem {
        self.refuse_at(self.node.line, message)
    }

    fn refuse_at(&self, line: usize, message: impl Into<Box<str>>) -> Problem {
        Problem {
            file: self.origin.file.clone(),
            line,
            document: self.origin.document,
            object: self.origin.object.clone(),
            path: self.path.as_str().into(),
            message: message.into(),
        }
    }

    fn wrong_type(&self, expected: &str) -> Problem {
        self.refuse(format!("must be {expected}, found {}", self.node.content.kind()))
    }

    /// A mapping with no key but these.
    pub(super) fn fields(self, known: &[&str]) -> Result<Fields<'a>, Problem> {
        let Content::Map(entries) = &self.node.content else {
            return Err(self.wrong_type("a mapping"));
        };
        match entries.iter().find(|(entry, _)| !known.contains(&&*entry.key)) {
            Some((entry, _)) => {
                let key: String = entry.key.chars().take(80).collect();
                Err(self.refuse_at(entry.line, format!("unknown key `{key}`; {}", suggestion(&entry.key, known))))
            }
            None => Ok(Fields { item: self }),
        }
    }

    /// Any mapping, its entries with their paths.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Self)>, Problem> {
        let Content::Map(entries) = &self.node.content else {
            return Err(self.wrong_type("a mapping"));
        };
        Ok(entries.iter().map(|(entry, node)| (&*entry.key, self.below(&entry.key, node))).collect())
    }

    fn below(&self, key: &str, node: &'a Node) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { node, path, origin: self.origin }
    }

    /// The items of a list.
    pub(super) fn list(&self) -> Result<Vec<Self>, Problem> {
        let Content::List(items) = &self.node.content else {
            return Err(self.wrong_type("a list"));
        };
        let item = |(place, node)| Self { node, path: format!("{}[{place}]", self.path), origin: self.origin };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// A text.
    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        match &self.node.content {
            Content::Text(text) => Ok(text),
            Content::Bool(_) | Content::Integer(_) | Content::Float(_) => Err(self.wrong_type("a text in quotes")),
            _ => Err(self.wrong_type("a text")),
        }
    }

    /// A whole number between two bounds.
    pub(super) fn integer(&self, least: i64, most: i64) -> Result<i64, Problem> {
        match self.node.content {
            Content::Integer(value) if (least..=most).contains(&value) => Ok(value),
            Content::Integer(_) => Err(self.refuse(format!("must be a number from {least} to {most}"))),
            _ => Err(self.wrong_type("a whole number")),
        }
    }

    /// A whole number from 0 to 255.
    pub(super) fn byte(&self) -> Result<u8, Problem> {
        let value = self.integer(0, 255)?;
        u8::try_from(value).map_err(|_| self.refuse("must be a number from 0 to 255"))
    }

    /// A number.
    pub(super) fn number(&self) -> Result<f64, Problem> {
        match self.node.content {
            #[expect(clippy::cast_precision_loss, reason = "orders and priorities, small numbers in practice")]
            Content::Integer(value) => Ok(value as f64),
            Content::Float(value) if value.is_finite() => Ok(value),
            _ => Err(self.wrong_type("a number")),
        }
    }

    /// A port number, 1 to 65535.
    pub(super) fn port(&self) -> Result<u16, Problem> {
        let value = self.integer(1, 65_535)?;
        u16::try_from(value).map_err(|_| self.refuse("must be a number from 1 to 65535"))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, Problem> {
        let word = |words: [&str; 3], text: &str| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        match &self.node.content {
            Content::Bool(value) => Ok(*value),
            // The API server's parser follows YAML 1.1.
            Content::Text(text) if word(["yes", "on", "y"], text) => Ok(true),
            Content::Text(text) if word(["no", "off", "n"], text) => Ok(false),
            _ => Err(self.wrong_type("`true` or `false`")),
        }
    }

    /// One of a set of words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Problem> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let shown: String = text.chars().take(80).collect();
            self.refuse(format!("`{shown}` does not exist; {}", suggestion(text, &known)))
        })
    }

    /// An address range; bits of the host are cut off, as the API server's own parser does.
    pub(super) fn network(&self) -> Result<IpNet, Problem> {
        let text = self.text()?;
        let shown: String = text.chars().take(80).collect();
        network(text).ok_or_else(|| self.refuse(format!("`{shown}` is no address range; write it as `192.0.2.0/24`")))
    }

    /// An address range, or one address.
    pub(super) fn network_or_address(&self) -> Result<IpNet, Problem> {
        let text = self.text()?;
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address.to_canonical())),
            Err(_) => self.network(),
        }
    }
}

/// Reads a range; one below `::ffff:0:0/96` is the IPv4 range that it maps.
fn network(text: &str) -> Option<IpNet> {
    let net: IpNet = text.parse().ok()?;
    let net = net.trunc();
    if let IpNet::V6(v6) = net
        && v6.prefix_len() >= 96
        && let IpAddr::V4(v4) = IpAddr::V6(v6.addr()).to_canonical()
    {
        return ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).ok().map(|net| IpNet::V4(net.trunc()));
    }
    Some(net)
}

impl<'a> Fields<'a> {
    /// The value of a key; `null` is the same as absent.
    pub(super) fn get(&self, key: &str) -> Option<Item<'a>> {
        let node = self.item.node.get(key)?;
        (node.content != Content::Null).then(|| self.item.below(key, node))
    }

    /// The value of a key that has to be there.
    pub(super) fn require(&self, key: &str) -> Result<Item<'a>, Problem> {
        self.get(key).ok_or_else(|| self.item.refuse(format!("needs the key `{key}`")))
    }

    /// The items of a list; `None` when the key is absent.
    pub(super) fn list(&self, key: &str) -> Result<Option<Vec<Item<'a>>>, Problem> {
        self.get(key).map(|item| item.list()).transpose()
    }

    /// The items of a list; none when the key is absent.
    pub(super) fn items(&self, key: &str) -> Result<Vec<Item<'a>>, Problem> {
        Ok(self.list(key)?.unwrap_or_default())
    }

    /// A text; `None` when the key is absent.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Problem> {
        self.get(key).map(|item| item.text()).transpose()
    }

    /// A whole number from 0 to 255; `None` when the key is absent.
    pub(super) fn byte(&self, key: &str) -> Result<Option<u8>, Problem> {
        self.get(key).map(|item| item.byte()).transpose()
    }

    /// Whether a key is there with a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}
