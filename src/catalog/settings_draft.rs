//! `[draft]` of `egress-atlas.toml`: what policy drafts may contain, and what no traffic record can tell.
//!
//! In: the tables `[draft]`, `[[draft.database]]`, `[[draft.vendor]]`, `[[draft.public]]` and `[clusters.NAME.draft]`. Out:
//! checked values with their defaults. Whether a range fits an observed destination is decided elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::date::Date;
use super::document::{DocumentError, Table, Value};
use super::pattern::{Pattern, PortRange};
use super::settings_rules::optional_list;
use crate::model::{DomainName, Grade};

/// What "the public internet" never includes: RFC 1918, RFC 6598, RFC 3927 and RFC 1122 for IPv4; link-local, unique local
/// (where cloud metadata answers over IPv6), loopback and NAT64 for IPv6, which carries IPv4 addresses of every kind
/// (RFC 6052, RFC 8215).
const EXCLUDED: [&str; 11] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// Namespaces whose isolation can take a cluster down; drafted only when asked for.
const SKIPPED: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

const KEYS: [&str; 18] = [
    "pod_to_pod",
    "min_grade",
    "min_confidence",
    "ntp",
    "excluded",
    "harbor",
    "harbor_addresses",
    "harbor_port",
    "skip_namespaces",
    "wildcard_siblings",
    "stable_days",
    "stable_addresses",
    "public_clients",
    "profile",
    "api_servers",
    "database",
    "vendor",
    "public",
];

/// How the network plugin judges, where that changes what has to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Egress is judged at the pod's address and port.
    #[default]
    Generic,
    /// The packet may still carry the service's port when the policy sees it: both ports are written.
    AwsVpcCni,
}

/// Time servers of the baseline policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ntp {
    /// Any public server, where the baseline of the namespace shows traffic to one that nothing speaks against.
    #[default]
    Seen,
    /// Any public server, for every pod.
    Public,
    /// No rule.
    None,
    /// These only: names and ranges.
    Servers(Vec<Pattern>),
}

/// The proxy cache in front of all registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Harbor {
    /// Its host name.
    pub host: DomainName,
    /// Its addresses, for policies that hold no names.
    pub addresses: Vec<IpNet>,
    /// Its port.
    pub port: u16,
}

/// `[[draft.database]]`: managed databases by their subnets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// What people call it.
    pub name: Box<str>,
    /// Where its instances may stand.
    pub subnets: Vec<IpNet>,
    /// Its ports; empty for all.
    pub ports: Vec<PortRange>,
    /// Clusters that use it; empty for all.
    pub clusters: Vec<Box<str>>,
    /// Names that are served there; empty when the addresses are enough.
    pub names: Vec<Pattern>,
}

/// `[[draft.vendor]]`: ranges that a vendor publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorRanges {
    /// Names that live there.
    pub names: Vec<Pattern>,
    /// The ranges.
    pub ranges: Vec<IpNet>,
    /// Where they are published.
    pub source: Box<str>,
    /// When somebody read them.
    pub checked: Date,
}

/// `[[draft.public]]`: workloads that may reach all of the public internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAccess {
    /// Namespaces; empty for all.
    pub namespaces: Vec<Box<str>>,
    /// Names of workloads.
    pub workloads: Vec<Box<str>>,
    /// Destination ports.
    pub ports: Vec<u16>,
    /// Who answers for it.
    pub owner: Box<str>,
    /// Why.
    pub reason: Box<str>,
}

/// What the user says about drafts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftSettings {
    /// Whether the baseline policy lets every pod reach every pod of the cluster.
    pub pod_to_pod: bool,
    /// The weakest evidence for a name that still makes a rule.
    pub min_grade: Grade,
    /// The lowest confidence in a name that still makes a rule, in thousandths.
    pub min_confidence: u16,
    /// Time servers.
    pub ntp: Ntp,
    /// What "the public internet" never includes.
    pub excluded: Vec<IpNet>,
    /// The registry proxy.
    pub harbor: Option<Harbor>,
    /// Namespaces without a draft.
    pub skip_namespaces: Vec<Box<str>>,
    /// From how many names below one parent on a wildcard is proposed; 0 for never.
    pub wildcard_siblings: u32,
    /// On how many days an address must have been seen to stand for a name.
    pub stable_days: u32,
    /// How many addresses at most may stand for a name.
    pub stable_addresses: u32,
    /// From how many clients outside on a port counts as public.
    pub public_clients: u32,
    /// How the network plugin judges.
    pub profile: Profile,
    /// Addresses of the API server in every cluster.
    pub api_servers: Vec<IpNet>,
    /// The same for one cluster, instead.
    pub cluster_api_servers: BTreeMap<Box<str>, Vec<IpNet>>,
    /// Managed databases.
    pub databases: Vec<Database>,
    /// Published ranges.
    pub vendors: Vec<VendorRanges>,
    /// Access to the whole public internet.
    pub public: Vec<PublicAccess>,
}

impl Default for DraftSettings {
    fn default() -> Self {
        Self {
            pod_to_pod: true,
            min_grade: Grade::Workload,
            min_confidence: 500,
            ntp: Ntp::Seen,
            excluded: EXCLUDED.iter().filter_map(|range| range.parse().ok()).collect(),
            harbor: None,
            skip_namespaces: SKIPPED.map(Into::into).into(),
            wildcard_siblings: 8,
            stable_days: 5,
            stable_addresses: 4,
            public_clients: 8,
            profile: Profile::Generic,
            api_servers: Vec::new(),
            cluster_api_servers: BTreeMap::new(),
            databases: Vec::new(),
            vendors: Vec::new(),
            public: Vec::new(),
        }
    }
}

impl DraftSettings {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        table.expect_keys(&KEYS)?;
        let default = Self::default();
        let count = |key: &str, default: u32| table.get(key).map_or(Ok(default), |value| value.count(1_000_000));
        let grades = Grade::ALL.map(|grade| (grade.as_str(), grade));
        let profiles = [("generic", Profile::Generic), ("aws-vpc-cni", Profile::AwsVpcCni)];
        Ok(Self {
            pod_to_pod: table.get("pod_to_pod").map_or(Ok(default.pod_to_pod), |value| value.boolean())?,
            min_grade: table.get("min_grade").map_or(Ok(default.min_grade), |value| value.word(&grades))?,
            min_confidence: table.get("min_confidence").map_or(Ok(default.min_confidence), |value| value.permille())?,
            ntp: table.get("ntp").map_or(Ok(Ntp::Seen), read_ntp)?,
            excluded: if table.get("excluded").is_some() { ranges(table, "excluded")? } else { default.excluded },
            harbor: read_harbor(table)?,
            skip_namespaces: if table.get("skip_namespaces").is_some() {
                texts(table, "skip_namespaces")?
            } else {
                default.skip_namespaces
            },
            wildcard_siblings: count("wildcard_siblings", default.wildcard_siblings)?,
            stable_days: count("stable_days", default.stable_days)?,
            stable_addresses: count("stable_addresses", default.stable_addresses)?,
            public_clients: count("public_clients", default.public_clients)?,
            profile: table.get("profile").map_or(Ok(Profile::Generic), |value| value.word(&profiles))?,
            api_servers: ranges(table, "api_servers")?,
            cluster_api_servers: BTreeMap::new(),
            databases: table.tables("database")?.iter().map(Database::read).collect::<Result<_, _>>()?,
            vendors: table.tables("vendor")?.iter().map(VendorRanges::read).collect::<Result<_, _>>()?,
            public: table.tables("public")?.iter().map(PublicAccess::read).collect::<Result<_, _>>()?,
        })
    }

    /// Reads `[clusters.NAME.draft]`.
    pub(super) fn read_cluster(&mut self, cluster: &str, table: &Table<'_>) -> Result<(), DocumentError> {
        table.expect_keys(&["api_servers"])?;
        self.cluster_api_servers.insert(cluster.into(), ranges(table, "api_servers")?);
        Ok(())
    }

    /// The configured addresses of a cluster's API server; empty when nobody said.
    pub fn api_servers(&self, cluster: &str) -> &[IpNet] {
        self.cluster_api_servers.get(cluster).unwrap_or(&self.api_servers)
    }

    /// The database that a destination of a cluster belongs to: by a name served there, else by all its addresses.
    pub fn database(&self, cluster: &str, name: Option<&str>, addresses: &[IpAddr], port: u16) -> Option<&Database> {
        self.databases.iter().find(|database| {
            let here = database.clusters.is_empty() || database.clusters.iter().any(|own| **own == *cluster);
            let open = database.ports.is_empty() || database.ports.iter().any(|range| range.contains(port));
            let named = name.is_some_and(|name| database.names.iter().any(|pattern| pattern.matches_name(name)));
            let inside = !addresses.is_empty()
                && addresses.iter().all(|address| database.subnets.iter().any(|net| net.contains(address)));
            here && open && (named || inside)
        })
    }

    /// The published ranges of a name.
    pub fn vendor(&self, name: &str) -> Option<&VendorRanges> {
        self.vendors.iter().find(|vendor| vendor.names.iter().any(|pattern| pattern.matches_name(name)))
    }

    /// Who answers for a workload's way to the whole public internet.
    pub fn public_access(&self, namespace: &str, workload: &str, port: u16) -> Option<&PublicAccess> {
        self.public.iter().find(|access| {
            (access.namespaces.is_empty() || access.namespaces.iter().any(|own| **own == *namespace))
                && access.workloads.iter().any(|own| **own == *workload)
                && access.ports.contains(&port)
        })
    }
}

impl Database {
    fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        table.expect_keys(&["name", "subnets", "ports", "clusters", "match"])?;
        table.require("subnets")?;
        Ok(Self {
            name: table.require("name")?.text()?.into(),
            subnets: ranges(table, "subnets")?,
            ports: ports(table)?,
            clusters: texts(table, "clusters")?,
            names: names(table)?,
        })
    }
}

impl VendorRanges {
    fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        table.expect_keys(&["match", "ranges", "source", "checked"])?;
        table.require("match")?;
        table.require("ranges")?;
        Ok(Self {
            names: names(table)?,
            ranges: ranges(table, "ranges")?,
            source: table.require("source")?.text()?.into(),
            checked: table.require("checked")?.date()?,
        })
    }
}

impl PublicAccess {
    fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        table.expect_keys(&["namespaces", "workloads", "ports", "owner", "reason"])?;
        table.require("workloads")?;
        let ports = table.require("ports")?.list()?.iter().map(port).collect::<Result<_, _>>()?;
        Ok(Self {
            namespaces: texts(table, "namespaces")?,
            workloads: texts(table, "workloads")?,
            ports,
            owner: table.require("owner")?.text()?.into(),
            reason: table.require("reason")?.text()?.into(),
        })
    }
}

fn read_ntp(value: Value<'_>) -> Result<Ntp, DocumentError> {
    match value.text() {
        Ok("seen") => return Ok(Ntp::Seen),
        Ok("public") => return Ok(Ntp::Public),
        Ok("none") => return Ok(Ntp::None),
        _ => {}
    }
    let servers = value.list()?.iter().map(|value| value.read(Pattern::parse)).collect::<Result<_, _>>()?;
    Ok(Ntp::Servers(servers))
}

fn read_harbor(table: &Table<'_>) -> Result<Option<Harbor>, DocumentError> {
    let Some(host) = table.get("harbor") else {
        for key in ["harbor_addresses", "harbor_port"] {
            if let Some(value) = table.get(key) {
                return Err(value.refuse(key, "it needs `harbor`, the host name"));
            }
        }
        return Ok(None);
    };
    let host = host.read(|text| match Pattern::parse(text) {
        Ok(Pattern::Exact(name)) => Ok(name),
        Ok(_) => Err("write one host name, without `*` and without a scheme".to_owned()),
        Err(error) => Err(error.to_string()),
    })?;
    let port = table.get("harbor_port").map_or(Ok(443), |value| port(&value))?;
    Ok(Some(Harbor { host, addresses: ranges(table, "harbor_addresses")?, port }))
}

fn port(value: &Value<'_>) -> Result<u16, DocumentError> {
    let number = value.count(u32::from(u16::MAX))?;
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| value.refuse(&number.to_string(), "ports begin at 1"))
}

fn ports(table: &Table<'_>) -> Result<Vec<PortRange>, DocumentError> {
    let read = |value: &Value<'_>| {
        let text = value.number_or_text()?;
        PortRange::parse(&text).ok_or_else(|| value.refuse(&text, "write a port as `443`, or `\"8000-8100\"`"))
    };
    optional_list(table, "ports")?.iter().map(read).collect()
}

fn ranges(table: &Table<'_>, key: &str) -> Result<Vec<IpNet>, DocumentError> {
    let range = |text: &str| match Pattern::parse(text) {
        Ok(Pattern::Network(net)) => Ok(net),
        Ok(_) => Err("it is no address range in CIDR notation".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    optional_list(table, key)?.iter().map(|value| value.read(range)).collect()
}

fn names(table: &Table<'_>) -> Result<Vec<Pattern>, DocumentError> {
    let name = |text: &str| match Pattern::parse(text) {
        Ok(Pattern::Network(_)) => Err("write a name here; addresses belong into the ranges".to_owned()),
        Ok(pattern) => Ok(pattern),
        Err(error) => Err(error.to_string()),
    };
    optional_list(table, "match")?.iter().map(|value| value.read(name)).collect()
}

fn texts(table: &Table<'_>, key: &str) -> Result<Vec<Box<str>>, DocumentError> {
    optional_list(table, key)?.iter().map(|value| value.text().map(Into::into)).collect()
}

#[cfg(test)]
mod tests {
    use crate::catalog::Settings;

    #[test]
    fn the_example_is_read_in_full() {
        let settings = Settings::parse(Settings::example(), "egress-atlas.toml").unwrap();
        let draft = &settings.draft;
        assert_eq!(draft.api_servers("east").len(), 2);
        assert!(draft.api_servers("west").is_empty());
        assert_eq!(draft.harbor.as_ref().map(|harbor| harbor.host.as_str()), Some("harbor.example.com"));
        assert_eq!(draft.vendor("api.payments.example").map(|vendor| vendor.ranges.len()), Some(1));
        let address = ["10.20.0.7".parse().unwrap()];
        assert!(draft.database("east", None, &address, 5432).is_some());
        assert!(draft.database("west", None, &address, 5432).is_none());
        assert!(draft.database("east", None, &address, 80).is_none());
        assert!(draft.database("east", Some("x.rds.amazonaws.com"), &[], 5432).is_some());
        assert!(draft.public_access("shop", "crawler", 443).is_some());
        assert!(draft.public_access("shop", "crawler", 80).is_none());
    }

    #[test]
    fn mistakes_name_line_key_and_remedy() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Settings::parse(text, "e.toml").unwrap_err().to_string(), expected);
        };
        check(
            "[draft]\npod_to_pd = true\n",
            "e.toml line 2: unknown key `pod_to_pd` in `[draft]`; did you mean `pod_to_pod`?",
        );
        check("[draft]\npod_to_pod = \"yes\"\n", "e.toml line 2: `pod_to_pod` must be `true` or `false`, found a text");
        check(
            "[draft]\nmin_confidence = 7\n",
            "e.toml line 2: `min_confidence` cannot be `7`: write a number from 0 to 1, as `0.5`",
        );
        check(
            "[draft]\nharbor_port = 443\n",
            "e.toml line 2: `harbor_port` cannot be `harbor_port`: it needs `harbor`, the host name",
        );
        check(
            "[[draft.vendor]]\nmatch = \"10.0.0.0/8\"\nranges = \"10.0.0.0/8\"\n",
            "e.toml line 2: `match` cannot be `10.0.0.0/8`: write a name here; addresses belong into the ranges",
        );
        check(
            "[[draft.database]]\nname = \"x\"\nsubnets = \"10.0.0.1/8\"\n",
            "e.toml line 3: `subnets` cannot be `10.0.0.1/8`: host bits are set; the range is `10.0.0.0/8`",
        );
    }
}
