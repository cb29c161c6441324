//! The catalog files that the binary carries, and how they become rows.
//!
//! In: the texts under `data/`, one file for each class: what the file answers, defaults, and groups of rows
//! `[match, label, sources]`. Out: groups and rows that are checked: every source is listed, no row is there
//! twice, every match can be indexed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::lookup::Catalog;
use super::row::{Answer, Group, Kind, Ports, Row, Scope};
use crate::model::{Protocol, Severity};

macro_rules! data {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("data/", $name)))),+]
    };
}

const FILES: &[(&str, &str)] = data![
    "anonymity.toml",
    "cdn.toml",
    "cloud_api.toml",
    "cloud_metadata.toml",
    "cluster_name.toml",
    "container_registry.toml",
    "dynamic_dns.toml",
    "encrypted_dns.toml",
    "file_drop.toml",
    "ip_echo.toml",
    "ip_in_name.toml",
    "ipfs_gateway.toml",
    "link_local_helper.toml",
    "messaging.toml",
    "mining.toml",
    "oast.toml",
    "odd_tld.toml",
    "package_mirror.toml",
    "paste.toml",
    "pki_time.toml",
    "port.toml",
    "remote_access.toml",
    "shared_hosting.toml",
    "sinkhole.toml",
    "special_range.toml",
    "tunnel.toml",
    "url_shortener.toml",
    "vendor.toml",
    "webhook_receiver.toml",
];

const SOURCES: &str = include_str!("data/sources.toml");

/// Why the catalog cannot be used. The embedded files are tested; only edited ones can fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A file is not in the form of the catalog.
    #[error("catalog file `{file}`: {message}")]
    Form {
        /// The file.
        file: Box<str>,
        /// What is wrong, with the line.
        message: Box<str>,
    },
    /// A row cites a source that `sources.toml` does not list, or none at all.
    #[error("catalog file `{file}`: `{row}` cites the unknown source `{key}`; add it to `sources.toml`")]
    Source {
        /// The file.
        file: Box<str>,
        /// The match of the row.
        row: Box<str>,
        /// The key that is missing.
        key: Box<str>,
    },
    /// The match of a row cannot be read.
    #[error("catalog file `{file}`: `{row}` is no {kind}")]
    Match {
        /// The file.
        file: Box<str>,
        /// The match of the row.
        row: Box<str>,
        /// What it should be.
        kind: &'static str,
    },
    /// Two rows of one class match the same.
    #[error("catalog file `{file}`: `{row}` is there twice")]
    Twice {
        /// The file.
        file: Box<str>,
        /// The match of the row.
        row: Box<str>,
    },
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The key that rows cite.
    pub key: Box<str>,
    /// Its name in words.
    pub name: Box<str>,
    /// Where it is published; empty for a source without one address.
    #[serde(default)]
    pub url: Box<str>,
    /// Licence, as its own files state it.
    pub licence: Box<str>,
    /// `data` when the licence lets the list be shipped, `facts` when single facts only were taken.
    #[serde(rename = "use")]
    pub usage: Box<str>,
    /// Date of the copy that was read.
    pub snapshot: Box<str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourcesText {
    source: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    class: Box<str>,
    answer: Box<str>,
    #[serde(default)]
    advice: Box<str>,
    severity: Option<Severity>,
    #[serde(default)]
    attack: Box<[Box<str>]>,
    group: Vec<GroupText>,
}

/// Match, label, and the keys of the sources with blanks between them.
type RowText = (Box<str>, Box<str>, Box<str>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupText {
    class: Option<Box<str>>,
    why: Box<str>,
    severity: Option<Severity>,
    attack: Option<Box<[Box<str>]>>,
    #[serde(default)]
    caution: Box<str>,
    scope: Option<Scope>,
    ports: Option<Box<[u16]>>,
    except_ports: Option<Box<[u16]>>,
    #[serde(default)]
    protocols: Vec<ProtocolText>,
    #[serde(default)]
    exact: Vec<RowText>,
    #[serde(default)]
    glob: Vec<RowText>,
    #[serde(default)]
    suffix: Vec<RowText>,
    #[serde(default)]
    below: Vec<RowText>,
    #[serde(default)]
    network: Vec<RowText>,
    #[serde(default)]
    port: Vec<RowText>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolText {
    Tcp,
    Udp,
}

impl Catalog {
    /// Reads the files that the binary carries: some milliseconds, so read once and pass it on.
    pub fn embedded() -> Result<Self, CatalogError> {
        Self::read(FILES, SOURCES)
    }

    /// Reads catalog files given as (name, text).
    pub(super) fn read(files: &[(&str, &str)], sources: &str) -> Result<Self, CatalogError> {
        let sources: SourcesText = parse("sources.toml", sources)?;
        let keys: BTreeMap<Box<str>, usize> =
            sources.source.iter().enumerate().map(|(index, source)| (source.key.clone(), index)).collect();
        let mut catalog = Self::new(sources.source);
        for (file, text) in files {
            let FileText { class, answer, advice, severity, attack, group } = parse(file, text)?;
            let answer = Answer::parse(&answer).ok_or_else(|| CatalogError::Form {
                file: (*file).into(),
                message: format!("`{answer}` is no answer that a file can give").into(),
            })?;
            let mut seen = BTreeSet::new();
            for mut text in group {
                let rows = text.take_rows();
                let group = text.into_group(&class, answer, &advice, severity, &attack);
                for (kind, (matched, label, cited)) in rows {
                    let index = catalog.groups().len();
                    let place = (kind, matched.clone(), group.class.clone(), group.ports.clone());
                    if !seen.insert((place, group.protocols.clone())) {
                        return Err(CatalogError::Twice { file: (*file).into(), row: matched });
                    }
                    let sources = cited_sources(&keys, file, &matched, &cited)?;
                    let row = Row { group: index, kind, text: matched, label, sources };
                    catalog.insert(row).map_err(|(row, kind)| CatalogError::Match {
                        file: (*file).into(),
                        row,
                        kind,
                    })?;
                }
                catalog.push_group(group);
            }
        }
        Ok(catalog)
    }
}

impl GroupText {
    fn take_rows(&mut self) -> Vec<(Kind, RowText)> {
        let lists = [
            (Kind::Exact, &mut self.exact),
            (Kind::Glob, &mut self.glob),
            (Kind::Suffix, &mut self.suffix),
            (Kind::Below, &mut self.below),
            (Kind::Network, &mut self.network),
            (Kind::Port, &mut self.port),
        ];
        lists
            .into_iter()
            .flat_map(|(kind, rows)| std::mem::take(rows).into_iter().map(move |row| (kind, row)))
            .collect()
    }

    fn into_group(
        self,
        class: &str,
        answer: Answer,
        advice: &str,
        severity: Option<Severity>,
        attack: &[Box<str>],
    ) -> Group {
        let protocol = |text: ProtocolText| match text {
            ProtocolText::Tcp => Protocol::TCP,
            ProtocolText::Udp => Protocol::UDP,
        };
        Group {
            class: self.class.unwrap_or_else(|| class.into()),
            answer,
            why: self.why,
            severity: self.severity.or(severity).unwrap_or(Severity::Low),
            attack: self.attack.unwrap_or_else(|| attack.into()),
            caution: self.caution,
            advice: advice.into(),
            scope: self.scope,
            ports: match (self.ports, self.except_ports) {
                (Some(ports), _) => Ports::Only(ports),
                (None, Some(ports)) => Ports::Except(ports),
                (None, None) => Ports::Any,
            },
            protocols: self.protocols.into_iter().map(protocol).collect(),
        }
    }
}

fn parse<'de, T: Deserialize<'de>>(file: &str, text: &'de str) -> Result<T, CatalogError> {
    toml::from_str(text)
        .map_err(|error| CatalogError::Form { file: file.into(), message: error.to_string().trim().into() })
}

fn cited_sources(
    keys: &BTreeMap<Box<str>, usize>,
    file: &str,
    row: &str,
    cited: &str,
) -> Result<Box<[usize]>, CatalogError> {
    let unknown = |key: &str| CatalogError::Source { file: file.into(), row: row.into(), key: key.into() };
    let found: Result<Box<[usize]>, _> =
        cited.split_ascii_whitespace().map(|key| keys.get(key).copied().ok_or_else(|| unknown(key))).collect();
    found.and_then(|found| if found.is_empty() { Err(unknown("")) } else { Ok(found) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(file: &str) -> String {
        let sources =
            "source = [{ key = \"a\", name = \"A\", licence = \"MIT\", use = \"data\", snapshot = \"2026\" }]";
        Catalog::read(&[("x.toml", file)], sources).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn broken_files_are_named_with_what_is_wrong() {
        let file = |rows: &str| format!("class = \"c\"\nanswer = \"suspect\"\n[[group]]\nwhy = \"w\"\n{rows}\n");
        assert_eq!(
            error(&file("suffix = [[\"x.y\", \"X\", \"a b\"]]")),
            "catalog file `x.toml`: `x.y` cites the unknown source `b`; add it to `sources.toml`"
        );
        assert_eq!(
            error(&file("suffix = [[\"x.y\", \"X\", \"\"]]")),
            "catalog file `x.toml`: `x.y` cites the unknown source ``; add it to `sources.toml`"
        );
        assert_eq!(
            error(&file("network = [[\"10.0.0.0/33\", \"X\", \"a\"]]")),
            "catalog file `x.toml`: `10.0.0.0/33` is no address range"
        );
        assert_eq!(
            error(&file("port = [[\"9-1\", \"X\", \"a\"]]")),
            "catalog file `x.toml`: `9-1` is no port or range"
        );
        assert_eq!(
            error(&file("suffix = [[\"X.y\", \"X\", \"a\"]]")),
            "catalog file `x.toml`: `X.y` is no normalised name"
        );
        assert_eq!(
            error(&file("suffix = [[\"x.y\", \"X\", \"a\"], [\"x.y\", \"Y\", \"a\"]]")),
            "catalog file `x.toml`: `x.y` is there twice"
        );
        assert_eq!(
            error("class = \"c\"\nanswer = \"nothing\"\ngroup = []"),
            "catalog file `x.toml`: `nothing` is no answer that a file can give"
        );
        assert!(error(&file("sufix = []")).contains("unknown field `sufix`"));
    }

    #[test]
    fn the_embedded_files_are_whole() {
        let catalog = Catalog::embedded().unwrap();
        assert_eq!(catalog.len(), 2534);
        assert_eq!(catalog.sources().len(), 93);
    }
}
