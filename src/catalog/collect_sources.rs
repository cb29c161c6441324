//! Settings of the single sources of the collector: sockets, certificates, gRPC servers, IPFIX exporters.
//!
//! In: tables of the settings. Out: checked settings, or one error that names line, key and remedy. Certificates are named here and
//! read where they are used, because they change while the collector runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::collect_settings::{duration, number};
use super::document::{DocumentError, Table};
use super::settings_rules::optional_list;

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `unix://PATH`.
    Unix(PathBuf),
    /// `tcp://ADDRESS:PORT`.
    Tcp(SocketAddr),
    /// `tls://ADDRESS:PORT`.
    Tls(SocketAddr),
    /// `udp://ADDRESS:PORT`.
    Udp(SocketAddr),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address) => write!(f, "tls://{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
        }
    }
}

/// Reads `listen`, of one of these schemes.
pub(super) fn read_listen(table: &Table<'_>, schemes: &[&str]) -> Result<Listen, DocumentError> {
    let read = |text: &str| {
        let known = || {
            let forms = schemes.iter().map(|scheme| match *scheme {
                "unix" => "`unix:///PATH`".to_owned(),
                scheme => format!("`{scheme}://ADDRESS:PORT`"),
            });
            let forms: Vec<String> = forms.collect();
            let (last, first) = forms.split_last().map_or(("", [].as_slice()), |(last, first)| (last.as_str(), first));
            format!("write {} or {last}", first.join(", "))
        };
        let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| schemes.contains(scheme)).ok_or_else(known)?;
        let socket = || {
            let message = format!("write address and port, as in `{scheme}://0.0.0.0:6000` or `{scheme}://[::]:6000`");
            rest.parse::<SocketAddr>().map_err(|_| message)
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Listen::Unix(rest.into())),
            "unix" => Err("write the whole path, as in `unix:///run/egress-atlas/dnstap.sock`".to_owned()),
            "tcp" => socket().map(Listen::Tcp),
            "tls" => socket().map(Listen::Tls),
            _ => socket().map(Listen::Udp),
        }
    };
    table.require("listen")?.read(read)
}

/// `allow`: networks that may send.
pub(super) fn networks(table: &Table<'_>) -> Result<Vec<IpNet>, DocumentError> {
    let network = |text: &str| {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
            .map_err(|_| "write an address or a range, as in `10.244.0.0/16`")
    };
    optional_list(table, "allow")?.iter().map(|value| value.read(network)).collect()
}

fn path(table: &Table<'_>, key: &str) -> Result<Option<PathBuf>, DocumentError> {
    table.get(key).map(|value| value.text().map(PathBuf::from)).transpose()
}

/// A certificate with its key, in PEM.
fn pair(table: &Table<'_>) -> Result<Option<(PathBuf, PathBuf)>, DocumentError> {
    match (path(table, "certificate")?, path(table, "key")?) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => table.require("key").map(|_| None),
        (None, Some(_)) => table.require("certificate").map(|_| None),
    }
}

/// What a server of TLS shows, and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// `certificate`: its chain, in PEM.
    pub certificate: PathBuf,
    /// `key`: its key, in PEM.
    pub key: PathBuf,
    /// `client_ca`: who signs clients' certificates; everybody is let in when it is left out.
    pub client_ca: Option<PathBuf>,
}

impl ServerTls {
    /// Reads the keys of a `tls://` listener, and refuses them for any other.
    pub(super) fn read(table: &Table<'_>, listen: &Listen) -> Result<Option<Self>, DocumentError> {
        if !matches!(listen, Listen::Tls(_)) {
            for key in ["certificate", "key", "client_ca"] {
                if let Some(value) = table.get(key) {
                    return Err(value.refuse(value.text()?, "it is for `listen = \"tls://…\"` only"));
                }
            }
            return Ok(None);
        }
        let (certificate, key) = (table.require("certificate")?.text()?.into(), table.require("key")?.text()?.into());
        Ok(Some(Self { certificate, key, client_ca: path(table, "client_ca")? }))
    }
}

/// What a client of TLS trusts and shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// `ca`: who signs the server's certificate, in PEM.
    pub ca: PathBuf,
    /// `server_name`: what the server's certificate must name, in place of the host of `address`.
    pub server_name: String,
    /// `certificate` and `key`: what is shown to a server that asks for it.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A gRPC source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FeedKind {
    /// Hubble Relay, or the Hubble of one agent.
    Relay,
    /// Calico's Goldmane.
    Goldmane,
    /// Antrea's flow aggregator.
    Antrea,
}

impl FeedKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Relay, Self::Goldmane, Self::Antrea];

    /// The name of its table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Goldmane => "goldmane",
            Self::Antrea => "antrea",
        }
    }
}

/// A gRPC server that is asked for flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// What it is.
    pub kind: FeedKind,
    /// `address`: as it is written, with the scheme.
    pub address: String,
    /// Host and port of it.
    pub authority: String,
    /// For `tls://`.
    pub tls: Option<ClientTls>,
    /// `token`: a file whose text is sent as a bearer token.
    pub token: Option<PathBuf>,
    /// `cluster`: of records that name none, in place of the shared one.
    pub cluster: String,
    /// `connect`: how long connecting and the beginning of the answer may take. Default 10 s.
    pub connect: Duration,
    /// `idle`: how long the stream may be silent before it is taken for dead. Default 5 min.
    pub idle: Duration,
}

/// Scheme, authority, and the host without its port.
fn address(text: &str) -> Result<(bool, String, String), String> {
    let form = "write `tcp://HOST:PORT` or `tls://HOST:PORT`, as in `tls://hubble-relay.kube-system.svc:443`";
    let (is_tls, authority) = match text.split_once("://") {
        Some(("tcp", rest)) => (false, rest),
        Some(("tls", rest)) => (true, rest),
        _ => return Err(form.to_owned()),
    };
    let (host, port) = authority.rsplit_once(':').ok_or(form)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !bare.is_empty()
        && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
        && (bare == host) != bare.contains(':');
    if is_port && is_host { Ok((is_tls, authority.to_owned(), bare.to_owned())) } else { Err(form.to_owned()) }
}

impl Feed {
    pub(super) fn read(kind: FeedKind, table: &Table<'_>, cluster: &str) -> Result<Self, DocumentError> {
        table.expect_keys(&[
            "address",
            "server_name",
            "ca",
            "certificate",
            "key",
            "token",
            "cluster",
            "connect",
            "idle",
        ])?;
        let (is_tls, authority, host) = table.require("address")?.read(address)?;
        let tls = if is_tls {
            let server_name = table.get("server_name").map_or(Ok(host.as_str()), |value| value.text())?.to_owned();
            Some(ClientTls { ca: table.require("ca")?.text()?.into(), server_name, identity: pair(table)? })
        } else {
            for key in ["server_name", "ca", "certificate", "key", "token"] {
                if let Some(value) = table.get(key) {
                    return Err(value.refuse(value.text()?, "it is for `address = \"tls://…\"` only"));
                }
            }
            None
        };
        Ok(Self {
            kind,
            address: table.require("address")?.text()?.to_owned(),
            authority,
            tls,
            token: path(table, "token")?,
            cluster: table.get("cluster").map_or(Ok(cluster), |value| value.text())?.to_owned(),
            connect: duration(table, "connect", Duration::from_secs(10))?,
            idle: duration(table, "idle", Duration::from_mins(5))?,
        })
    }
}

/// Where IPFIX exporters send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpfixListener {
    /// `listen`: a socket of either transport.
    pub listen: Listen,
    /// `certificate`, `key`, `client_ca`: for `tls://`.
    pub tls: Option<ServerTls>,
    /// `cluster`: of everything that comes in here, in place of the shared one.
    pub cluster: String,
    /// `exporters`: how many at a time. Default 256.
    pub exporters: usize,
    /// `handshake`: how long a peer may take for that of TLS. Default 5 s.
    pub handshake: Duration,
    /// `idle`: how long an exporter may be silent before it is forgotten. Default 1 h.
    pub idle: Duration,
    /// `templates`: how long a template over UDP is good without being sent again. Default 30 min.
    pub templates: Duration,
    /// `allow`: networks that may send; everybody when it is left out.
    pub allow: Vec<IpNet>,
}

impl IpfixListener {
    pub(super) fn read(table: &Table<'_>, cluster: &str) -> Result<Self, DocumentError> {
        table.expect_keys(&[
            "listen",
            "cluster",
            "exporters",
            "handshake",
            "idle",
            "templates",
            "allow",
            "certificate",
            "key",
            "client_ca",
        ])?;
        let listen = read_listen(table, &["tcp", "tls", "udp"])?;
        if !matches!(listen, Listen::Udp(_))
            && let Some(value) = table.get("templates")
        {
            return Err(value.refuse(value.text()?, "it is for `listen = \"udp://…\"` only"));
        }
        Ok(Self {
            tls: ServerTls::read(table, &listen)?,
            listen,
            cluster: table.get("cluster").map_or(Ok(cluster), |value| value.text())?.to_owned(),
            exporters: usize::try_from(number(table, "exporters", 256)?).unwrap_or(usize::MAX),
            handshake: duration(table, "handshake", Duration::from_secs(5))?,
            idle: duration(table, "idle", Duration::from_hours(1))?,
            templates: duration(table, "templates", Duration::from_mins(30))?,
            allow: networks(table)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::collect_settings::CollectSettings;

    fn parse(tables: &str) -> Result<CollectSettings, String> {
        CollectSettings::parse(&format!("store = \"s\"\n{tables}"), "c.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn mistakes_are_told_with_line_key_and_remedy() {
        let check = |tables: &str, told: &str| assert_eq!(parse(tables).unwrap_err(), told);
        check(
            "[[relay]]\naddress = \"hubble-relay:80\"\n",
            "c.toml line 3: `address` cannot be `hubble-relay:80`: write `tcp://HOST:PORT` or `tls://HOST:PORT`, as in `tls://hubble-relay.kube-system.svc:443`",
        );
        check("[[relay]]\naddress = \"tls://r:443\"\n", "c.toml line 2: `[[relay]]` needs the key `ca`");
        check(
            "[[relay]]\naddress = \"tcp://r:80\"\nca = \"ca.crt\"\n",
            "c.toml line 4: `ca` cannot be `ca.crt`: it is for `address = \"tls://…\"` only",
        );
        check(
            "[[goldmane]]\naddress = \"tls://g:7443\"\nca = \"c\"\ncertificate = \"t\"\n",
            "c.toml line 2: `[[goldmane]]` needs the key `key`",
        );
        check(
            "[[antrea]]\nadress = \"tls://a:14740\"\n",
            "c.toml line 3: unknown key `adress` in `[[antrea]]`; did you mean `address`?",
        );
        check(
            "[[ipfix]]\nlisten = \"unix:///x\"\n",
            "c.toml line 3: `listen` cannot be `unix:///x`: write `tcp://ADDRESS:PORT`, `tls://ADDRESS:PORT` or `udp://ADDRESS:PORT`",
        );
        check(
            "[[ipfix]]\nlisten = \"tcp://[::]:4739\"\ntemplates = \"1m\"\n",
            "c.toml line 4: `templates` cannot be `1m`: it is for `listen = \"udp://…\"` only",
        );
        check("[[dnstap]]\nlisten = \"tls://[::]:6001\"\n", "c.toml line 2: `[[dnstap]]` needs the key `certificate`");
        check(
            "[[dnstap]]\nlisten = \"tcp://[::]:6000\"\nkey = \"k\"\n",
            "c.toml line 4: `key` cannot be `k`: it is for `listen = \"tls://…\"` only",
        );
        check("[[relya]]\n", "c.toml line 2: unknown key `relya` in the file; did you mean `relay`?");
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for (good, host) in
            [("tls://a.b-c:1", "a.b-c"), ("tls://10.0.0.1:443", "10.0.0.1"), ("tls://[2001:db8::1]:443", "2001:db8::1")]
        {
            let settings = parse(&format!("[[relay]]\naddress = \"{good}\"\nca = \"c\"\n")).unwrap();
            assert_eq!(settings.feeds[0].tls.as_ref().unwrap().server_name, host);
        }
        for bad in
            ["tcp://a", "tcp://:1", "tcp://a:0", "tcp://a:70000", "tcp://2001:db8::1:80", "tcp://a/b:1", "http://a:1"]
        {
            assert!(
                parse(&format!("[[relay]]\naddress = \"{bad}\"\n")).unwrap_err().contains("`address` cannot be"),
                "{bad}"
            );
        }
    }
}
