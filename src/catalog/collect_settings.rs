//! The settings of the collector: where it listens, what it follows, where it writes.
//!
//! In: the text of the file. Out: checked settings, or one error that names line, key and remedy. Nothing here opens a
//! file or a socket; [`CollectSettings::example`] shows every key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::bucket::BucketSettings;
use super::collect_sources::{Feed, FeedKind, IpfixListener, Listen, ServerTls, networks, read_listen};
use super::document::{Document, DocumentError, Table};
use crate::model::parse_duration_nanos;

/// What the collector is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectSettings {
    /// `store`: the folder that is written.
    pub store: PathBuf,
    /// `cluster`: the cluster of sources that name none.
    pub cluster: String,
    /// `http`: where metrics and health are served.
    pub http: Option<SocketAddr>,
    /// `sync`: how long pushed data may wait to be on disk. Default 1 s.
    pub sync: Duration,
    /// `flush`: how long rows may wait to be in the store. Default 1 min.
    pub flush: Duration,
    /// `backlog_mib`: how much may wait to be in the store before nothing is taken any more. Default 2048 MiB.
    pub backlog_bytes: u64,
    /// `retention`: how long days are kept. Default 14 days.
    pub retention: Duration,
    /// `[bucket]`: where finished files are shipped; they stay where they are when it is left out.
    pub bucket: Option<BucketSettings>,
    /// `fold`: whether repeats of a minute become one row; what the store was told before when it is left out, else yes.
    pub fold: Option<bool>,
    /// `[[dnstap]]`: listeners.
    pub dnstap: Vec<DnstapListener>,
    /// `[[hubble]]`: files that are followed.
    pub hubble: Vec<HubbleFiles>,
    /// `[[relay]]`, `[[goldmane]]`, `[[antrea]]`: gRPC servers that are asked.
    pub feeds: Vec<Feed>,
    /// `[[ipfix]]`: listeners.
    pub ipfix: Vec<IpfixListener>,
}

/// Where DNS servers connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnstapListener {
    /// `listen`: a socket that speaks of connections.
    pub listen: Listen,
    /// `certificate`, `key`, `client_ca`: for `tls://`.
    pub tls: Option<ServerTls>,
    /// `cluster`: of everything that comes in here, in place of the shared one.
    pub cluster: String,
    /// `connections`: how many at a time. Default 1,000.
    pub connections: usize,
    /// `handshake`: how long a peer may take to begin. Default 5 s.
    pub handshake: Duration,
    /// `idle`: how long a peer may be silent before it is taken for dead. Default 1 h.
    pub idle: Duration,
    /// `allow`: networks that may connect; everybody when it is left out.
    pub allow: Vec<IpNet>,
}

/// Files of a Hubble exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubbleFiles {
    /// `path`: a file or a pattern; rotated and compressed files belong to it.
    pub path: String,
    /// `cluster`: of records that name none, in place of the shared one.
    pub cluster: String,
}

const KEYS: [&str; 15] = [
    "store",
    "cluster",
    "http",
    "sync",
    "flush",
    "backlog_mib",
    "retention",
    "bucket",
    "fold",
    "dnstap",
    "hubble",
    "relay",
    "goldmane",
    "antrea",
    "ipfix",
];

pub(super) fn duration(table: &Table<'_>, key: &str, default: Duration) -> Result<Duration, DocumentError> {
    let parse = |text: &str| {
        let nanos = parse_duration_nanos(text).and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0);
        nanos.map(Duration::from_nanos).ok_or("write a duration as `500ms`, `90s`, `10m` or `14d`")
    };
    table.get(key).map_or(Ok(default), |value| value.read(parse))
}

pub(super) fn number(table: &Table<'_>, key: &str, default: u64) -> Result<u64, DocumentError> {
    let Some(value) = table.get(key) else { return Ok(default) };
    let text = value.number_or_text()?;
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| value.refuse(&text, "write a whole number above 0"))
}

/// A pattern as the follower reads it; whether a file matches is not looked at.
fn pattern(text: &str) -> Result<String, String> {
    match glob::Pattern::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "{} (at character {}); write a path, `*`, `?`, `[a-z]`, or `**` between slashes",
            error.msg, error.pos
        )),
    }
}

impl CollectSettings {
    /// Reads the text of `file`.
    pub fn parse(text: &str, file: &str) -> Result<Self, DocumentError> {
        let document = Document::new(file, text);
        let content = document.parse()?;
        let root = document.root(&content);
        root.expect_keys(&KEYS)?;
        let second = Duration::from_secs(1);
        let cluster = root.get("cluster").map_or(Ok(""), |value| value.text())?;
        let http = |text: &str| {
            text.parse::<SocketAddr>()
                .map_err(|_| "write address and port, as in `0.0.0.0:9464`; leave the key out for none")
        };
        let mut settings = Self {
            store: root.require("store")?.text()?.into(),
            cluster: cluster.to_owned(),
            http: root.get("http").map(|value| value.read(http)).transpose()?,
            sync: duration(&root, "sync", second)?,
            flush: duration(&root, "flush", second * 60)?,
            backlog_bytes: number(&root, "backlog_mib", 2_048)?.saturating_mul(1 << 20),
            retention: duration(&root, "retention", second * 86_400 * 14)?,
            bucket: root.table("bucket")?.map(|table| BucketSettings::read(&table)).transpose()?,
            fold: root.get("fold").map(|value| value.boolean()).transpose()?,
            dnstap: Vec::new(),
            hubble: Vec::new(),
            feeds: Vec::new(),
            ipfix: Vec::new(),
        };
        for table in root.tables("dnstap")? {
            settings.dnstap.push(DnstapListener::read(&table, cluster)?);
        }
        for table in root.tables("hubble")? {
            table.expect_keys(&["path", "cluster"])?;
            settings.hubble.push(HubbleFiles {
                path: table.require("path")?.read(pattern)?,
                cluster: table.get("cluster").map_or(Ok(cluster), |value| value.text())?.to_owned(),
            });
        }
        for kind in FeedKind::ALL {
            for table in root.tables(kind.as_str())? {
                settings.feeds.push(Feed::read(kind, &table, cluster)?);
            }
        }
        for table in root.tables("ipfix")? {
            settings.ipfix.push(IpfixListener::read(&table, cluster)?);
        }
        if settings.sources() == 0 {
            // Nothing to collect is a mistake, and the message names a table that mends it.
            root.require("dnstap")?;
        }
        Ok(settings)
    }

    /// How many sources there are.
    pub fn sources(&self) -> usize {
        self.dnstap.len() + self.hubble.len() + self.feeds.len() + self.ipfix.len()
    }

    /// A file that uses every key once.
    pub const fn example() -> &'static str {
        EXAMPLE
    }
}

impl DnstapListener {
    fn read(table: &Table<'_>, cluster: &str) -> Result<Self, DocumentError> {
        table.expect_keys(&[
            "listen",
            "cluster",
            "connections",
            "handshake",
            "idle",
            "allow",
            "certificate",
            "key",
            "client_ca",
        ])?;
        let listen = read_listen(table, &["unix", "tcp", "tls"])?;
        Ok(Self {
            tls: ServerTls::read(table, &listen)?,
            listen,
            cluster: table.get("cluster").map_or(Ok(cluster), |value| value.text())?.to_owned(),
            connections: usize::try_from(number(table, "connections", 1_000)?).unwrap_or(usize::MAX),
            handshake: duration(table, "handshake", Duration::from_secs(5))?,
            idle: duration(table, "idle", Duration::from_hours(1))?,
            allow: networks(table)?,
        })
    }
}

const EXAMPLE: &str = r#"# Where everything is written; read it with `--store`.
store = "/var/lib/egress-atlas"
# The cluster of sources that name none.
cluster = "prod-eu"
# /metrics, /healthz and /readyz; leave it out for none.
http = "0.0.0.0:9464"
sync = "1s"           # how long pushed data may wait to be on disk
flush = "1m"          # how long rows may wait to be in the store
backlog_mib = 2048    # what may wait for the store; then nothing is taken
retention = "14d"     # how long days are kept
fold = true           # equal records of a minute are one row; same results

# Ships finished files to an S3-compatible bucket, and removes them here once
# they are there; leave the table out to keep everything in `store`.
# Credentials are those of the environment: AWS_ACCESS_KEY_ID and
# AWS_SECRET_ACCESS_KEY, or the role of a service account.
[bucket]
url = "s3://flow-logs/egress-atlas"
region = "eu-central-1"
# For others than Amazon
endpoint = "https://minio.storage.svc:9000"
ca = "/etc/egress-atlas/bucket/ca.crt"
allow_http = false      # true: `http://` will do
virtual_hosted = false  # true: the bucket is in the name of the host
every = "30s"           # how often finished files are shipped
keep = "6h"             # how long copies stay in `store`/shipped; else none
tidy = "10m"            # how often small objects are merged, old ones removed

# CoreDNS: `dnstap tcp://ADDRESS:6000 full`.
# Everybody who may connect can invent answers: restrict it.
[[dnstap]]
listen = "tcp://0.0.0.0:6000"
allow = ["10.244.0.0/16", "192.168.10.0/24"]
connections = 1000    # at a time
handshake = "5s"      # how long a peer may take to begin
idle = "1h"           # silent for so long, a peer is taken for dead

# The same within TLS: `dnstap tls://HOST:6001 full`. CoreDNS has no
# certificate of its own to show; others have.
[[dnstap]]
listen = "tls://0.0.0.0:6001"
# Read again when the files change
certificate = "/etc/egress-atlas/tls/tls.crt"
key = "/etc/egress-atlas/tls/tls.key"
# Only who shows a certificate of this; leave it out for everybody
client_ca = "/etc/egress-atlas/clients/ca.crt"

[[dnstap]]
listen = "unix:///run/egress-atlas/dnstap.sock"
cluster = "prod-eu"

# Files of the Hubble exporter, with those that it rotated and compressed.
[[hubble]]
path = "/var/log/hubble/events*.log*"
cluster = "prod-eu"

# Hubble Relay: `tcp://…:80` as it is installed, `tls://…:443` where its TLS
# is on.
[[relay]]
address = "tls://hubble-relay.kube-system.svc:443"
# The relay's certificate names *.hubble-relay.cilium.io
server_name = "egress-atlas.hubble-relay.cilium.io"
ca = "/etc/egress-atlas/relay/ca.crt"
# Where it asks clients for one; leave both out otherwise
certificate = "/etc/egress-atlas/relay/tls.crt"
key = "/etc/egress-atlas/relay/tls.key"
# How long connecting and the beginning of the answer may take
connect = "10s"
# How long the stream may be silent before it is taken for dead
idle = "5m"

# Calico's Goldmane. It has no addresses: edges and verdicts inside the
# cluster, nothing to name outside.
[[goldmane]]
address = "tls://goldmane.calico-system.svc:7443"
ca = "/etc/egress-atlas/goldmane/ca.crt"
certificate = "/etc/egress-atlas/goldmane/tls.crt"
key = "/etc/egress-atlas/goldmane/tls.key"

# Antrea's flow aggregator with `flowStreamService` (2.7).
[[antrea]]
address = "tls://flow-aggregator.flow-aggregator.svc:14740"
ca = "/etc/egress-atlas/antrea/ca.crt"
# Later than 2.7; never sent without TLS
token = "/var/run/secrets/kubernetes.io/serviceaccount/token"

# IPFIX of Antrea's flow exporters or aggregator; `udp://` loses what it
# loses, and sequence numbers tell how much.
[[ipfix]]
listen = "tcp://0.0.0.0:4739"
allow = ["10.244.0.0/16"]
exporters = 256       # at a time
idle = "1h"

[[ipfix]]
listen = "udp://0.0.0.0:4739"
# How long a template is good without being sent again: three times the
# exporter's refresh
templates = "30m"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_uses_every_key() {
        let settings = CollectSettings::parse(CollectSettings::example(), "collect.toml").unwrap();
        assert_eq!((settings.dnstap.len(), settings.hubble.len()), (3, 1));
        assert_eq!((settings.feeds.len(), settings.ipfix.len()), (3, 2));
        assert_eq!(settings.backlog_bytes, 2 << 30);
        assert_eq!(settings.retention, Duration::from_hours(14 * 24));
        assert!(KEYS.iter().all(|key| CollectSettings::example().contains(key)));
    }

    #[test]
    fn mistakes_are_told_with_line_key_and_remedy() {
        let check = |text: &str, told: &str| {
            assert_eq!(CollectSettings::parse(text, "c.toml").unwrap_err().to_string(), told);
        };
        check("", "c.toml line 1: the file needs the key `store`");
        check("store = \"s\"\n", "c.toml line 1: the file needs the key `dnstap`");
        check(
            "store = \"s\"\n[[dnstap]]\nlisten = \"6000\"\n",
            "c.toml line 3: `listen` cannot be `6000`: write `unix:///PATH`, `tcp://ADDRESS:PORT` or `tls://ADDRESS:PORT`",
        );
        check(
            "store = \"s\"\nsync = \"1\"\n",
            "c.toml line 2: `sync` cannot be `1`: write a duration as `500ms`, `90s`, `10m` or `14d`",
        );
        check(
            "store = \"s\"\n[[hubble]]\npaht = \"x\"\n",
            "c.toml line 3: unknown key `paht` in `[[hubble]]`; did you mean `path`?",
        );
        check(
            "store = \"s\"\n[[hubble]]\npath = \"/var/log/[x\"\n",
            "c.toml line 3: `path` cannot be `/var/log/[x`: invalid range pattern (at character 9); write a path, `*`, `?`, `[a-z]`, or `**` between slashes",
        );
    }
}
