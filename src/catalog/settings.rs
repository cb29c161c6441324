//! The user's `egress-atlas.toml`: the join, own rules, and the networks that are inside.
//!
//! In: the text of the file. Out: checked settings, or one error that names line, key and remedy. A missing file is
//! the same as an empty one. Nothing here opens a file; [`Settings::example`] shows every key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::date::Date;
use super::document::{Document, DocumentError, Table};
use super::pattern::Pattern;
use super::settings_detect::Detect;
use super::settings_draft::DraftSettings;
use super::settings_plan::PlanSettings;
use super::settings_rules::{CategoryRule, Exemption, SuspectRule, optional_list};
use crate::model::{parse_duration_nanos, unwrap_embedded};

const SECOND: i64 = 1_000_000_000;

/// What the user says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// The name of the file, for rules in the output; empty when there is none.
    pub file: Box<str>,
    /// `[join]`: how flows and answers meet.
    pub join: Join,
    /// `[[category]]`, in the order of the file: the first that matches decides.
    pub categories: Vec<CategoryRule>,
    /// `[[suspect]]`, in the order of the file.
    pub suspects: Vec<SuspectRule>,
    /// `[[exempt]]`, in the order of the file.
    pub exemptions: Vec<Exemption>,
    /// `[detect]`: thresholds of the detectors.
    pub detect: Detect,
    /// `[networks]`: networks of every cluster.
    pub networks: Networks,
    /// `[clusters.NAME.networks]`: networks of one cluster, in addition.
    pub clusters: BTreeMap<Box<str>, Networks>,
    /// `[draft]` and `[clusters.NAME.draft]`: what policy drafts may contain.
    pub draft: DraftSettings,
    /// `[plan]`: what namespaces are for.
    pub plan: PlanSettings,
    /// `[clusters.NAME] profile`: what the CNI of a cluster does where policies leave it open.
    pub profiles: BTreeMap<Box<str>, Box<str>>,
}

/// `[join]`: how a flow finds the answer that named its destination. Nanoseconds; written as `24h`, `90s`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// `window`: how old an answer may be to count as current. Default 24 h.
    pub window: i64,
    /// `skew`: how far the clocks of two sources may differ. Default 5 s.
    pub skew: i64,
    /// `idle`: after how long without a record a connection is over. Default 10 min.
    pub idle: i64,
}

impl Default for Join {
    fn default() -> Self {
        Self { window: 86_400 * SECOND, skew: 5 * SECOND, idle: 600 * SECOND }
    }
}

/// `[networks]`: the address ranges that are inside. Each key takes a list of ranges.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Networks {
    /// `pods`: what pods are numbered from.
    pub pods: Vec<IpNet>,
    /// `services`: what cluster addresses of Services are numbered from.
    pub services: Vec<IpNet>,
    /// `nodes`: what nodes are numbered from.
    pub nodes: Vec<IpNet>,
    /// `internal`: everything else that is the organisation's own.
    pub internal: Vec<IpNet>,
}

impl Networks {
    const KEYS: [&str; 4] = ["pods", "services", "nodes", "internal"];

    fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        table.expect_keys(&Self::KEYS)?;
        let ranges = |key: &str| -> Result<Vec<IpNet>, DocumentError> {
            let values = optional_list(table, key)?;
            let range = |text: &str| match Pattern::parse(text) {
                Ok(Pattern::Network(net)) => Ok(net),
                Ok(_) => Err("it is no address range in CIDR notation".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            values.iter().map(|value| value.read(range)).collect()
        };
        Ok(Self {
            pods: ranges("pods")?,
            services: ranges("services")?,
            nodes: ranges("nodes")?,
            internal: ranges("internal")?,
        })
    }

    /// The narrowest range that holds an address, with its key.
    fn find(&self, address: IpAddr) -> Option<(&'static str, IpNet)> {
        let lists = [&self.pods, &self.services, &self.nodes, &self.internal];
        let ranges = Self::KEYS.into_iter().zip(lists).flat_map(|(key, nets)| nets.iter().map(move |net| (key, *net)));
        ranges.filter(|(_, net)| net.contains(&address)).reduce(narrower)
    }
}

fn narrower(one: (&'static str, IpNet), other: (&'static str, IpNet)) -> (&'static str, IpNet) {
    if other.1.prefix_len() > one.1.prefix_len() { other } else { one }
}

impl Settings {
    /// Reads the text of `file`.
    pub fn parse(text: &str, file: &str) -> Result<Self, DocumentError> {
        let document = Document::new(file, text);
        let content = document.parse()?;
        let root = document.root(&content);
        root.expect_keys(&[
            "join", "category", "suspect", "exempt", "detect", "networks", "clusters", "draft", "plan",
        ])?;
        let mut settings = Self { file: file.into(), ..Self::default() };
        if let Some(table) = root.table("join")? {
            settings.join = read_join(&table)?;
        }
        for (index, table) in root.tables("category")?.iter().enumerate() {
            settings.categories.push(CategoryRule::read(table, index + 1)?);
        }
        for (index, table) in root.tables("suspect")?.iter().enumerate() {
            settings.suspects.push(SuspectRule::read(table, index + 1)?);
        }
        for (index, table) in root.tables("exempt")?.iter().enumerate() {
            settings.exemptions.push(Exemption::read(table, index + 1, &settings.suspects)?);
        }
        if let Some(table) = root.table("detect")? {
            settings.detect = Detect::read(&table)?;
        }
        if let Some(table) = root.table("networks")? {
            settings.networks = Networks::read(&table)?;
        }
        if let Some(table) = root.table("draft")? {
            settings.draft = DraftSettings::read(&table)?;
        }
        if let Some(table) = root.table("plan")? {
            settings.plan = PlanSettings::read(&table)?;
        }
        if let Some(clusters) = root.table("clusters")? {
            for (name, table) in clusters.named_tables("clusters")? {
                table.expect_keys(&["networks", "profile", "draft"])?;
                if let Some(own) = table.table("draft")? {
                    settings.draft.read_cluster(name, &own)?;
                }
                if let Some(profile) = table.get("profile") {
                    settings.profiles.insert(name.into(), profile.text()?.into());
                }
                if let Some(networks) = table.table("networks")? {
                    settings.clusters.insert(name.into(), Networks::read(&networks)?);
                }
            }
        }
        Ok(settings)
    }

    /// The narrowest configured range that holds an address in a cluster, with its key (`pods`, `services`, ...).
    pub fn network(&self, cluster: &str, address: IpAddr) -> Option<(&'static str, IpNet)> {
        let address = unwrap_embedded(address);
        let own = self.clusters.get(cluster).and_then(|networks| networks.find(address));
        let shared = self.networks.find(address);
        own.into_iter().chain(shared).reduce(narrower)
    }

    /// The exemptions whose time is over on `day`: they clear nothing, and the user wants to know.
    pub fn expired_exemptions(&self, day: Date) -> impl Iterator<Item = &Exemption> {
        self.exemptions.iter().filter(move |exemption| exemption.is_expired(day))
    }

    /// A file that uses every key once.
    pub const fn example() -> &'static str {
        EXAMPLE
    }
}

fn read_join(table: &Table<'_>) -> Result<Join, DocumentError> {
    table.expect_keys(&["window", "skew", "idle"])?;
    let read = |key: &str, default: i64| {
        let parse = |text: &str| parse_duration_nanos(text).ok_or("write a duration as `90s`, `10m`, `24h` or `7d`");
        table.get(key).map_or(Ok(default), |value| value.read(parse))
    };
    let Join { window, skew, idle } = Join::default();
    Ok(Join { window: read("window", window)?, skew: read("skew", skew)?, idle: read("idle", idle)? })
}

const EXAMPLE: &str = r#"# How flows and DNS answers meet.
[join]
window = "24h"   # how old an answer may be to count as current
skew = "5s"      # how far the clocks of two sources may differ
idle = "10m"     # after how long without a record a connection is over

# Own categories: internal, infra, vendor, registries, customer, unclassified.
# The first rule that matches decides, before everything else.
# name = this name only, *.name = everything below it, .name = both, or addresses.
[[category]]
category = "customer"
match = [".partner.example", "203.0.113.7", "198.51.100.0/24"]
namespaces = ["orders"]        # of the workload; leave out for all
ports = [443, "8000-8100"]     # leave out for all
label = "Partner Ltd"
why = "order interface, contract 4711"

# Suspicions that the catalog does not have.
[[suspect]]
match = "*.old-proxy.example"
class = "retired_proxy"
severity = "medium"            # high, medium, low
why = "to be switched off"

# A suspicion that somebody answers for, for a time. It stays visible.
[[exempt]]
match = "hooks.slack.com"
class = "messaging"            # a class, a list of classes, or "all"
namespaces = ["monitoring"]
owner = "sre@example.com"
reason = "alerts go to the on-call channel"
expires = 2027-06-30           # the last day on which it holds

# A finding about a workload as a whole has no destination: name the workload instead of a match.
[[exempt]]
workloads = ["port-checker"]
class = "scanning"
namespaces = ["monitoring"]
owner = "sre@example.com"
reason = "it checks every service, on purpose"
expires = 2027-06-30

# Detectors of behaviour: which are off, and thresholds other than the default.
[detect]
off = ["rare_destination"]     # classes that are not judged
known = false                  # true: judge destinations with a category like unknown ones

[detect.beaconing]
connections = 12
score = 0.7

# Address ranges that are inside, in every cluster.
[networks]
pods = ["10.244.0.0/16"]
services = ["10.96.0.0/12"]
nodes = ["192.168.10.0/24"]
internal = ["10.0.0.0/8", "192.0.2.0/24"]

# What the CNI of one cluster does where policies leave it open (see `replay --help`).
[clusters.east]
profile = "cilium"

# Address ranges of one cluster, in addition.
[clusters.east.networks]
pods = ["240.10.0.0/16"]

# What policy drafts may contain.
[draft]
pod_to_pod = true              # whether the baseline policy lets every pod reach every pod of the cluster
min_grade = "workload"         # the weakest evidence for a name that still makes a rule
min_confidence = 0.5           # the same, from 0 to 1
ntp = ["10.0.0.123"]           # time servers; "seen" (the default), "public" or "none"
excluded = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fe80::/10", "fc00::/7", "::1/128", "64:ff9b::/96", "64:ff9b:1::/48"]  # never part of "the public internet"
harbor = "harbor.example.com"  # registries are reached through it
harbor_addresses = ["10.0.0.80"]
harbor_port = 443
skip_namespaces = ["kube-system", "kube-public", "kube-node-lease"]
wildcard_siblings = 8          # so many names below one parent make `*.parent`; 0 for never
stable_days = 5                # an address seen on so many days stands for its name where rules hold no names
stable_addresses = 4           # and no more than so many of them
public_clients = 8             # so many clients from outside make a port a public one
profile = "generic"            # generic, aws-vpc-cni

# Managed databases by their subnets.
[[draft.database]]
name = "orders"
subnets = ["10.20.0.0/24"]
ports = [5432]
clusters = ["east"]            # leave out for all
match = ["*.rds.amazonaws.com"]  # names that are served there; leave out if the addresses are enough

# Ranges that a vendor publishes, for policies that hold no names.
[[draft.vendor]]
match = ".payments.example"
ranges = ["203.0.113.0/24"]
source = "https://payments.example/ranges"
checked = 2026-03-01           # when somebody read the list

# Workloads that may reach all of the public internet, because somebody answers for it.
[[draft.public]]
namespaces = ["shop"]
workloads = ["crawler"]
ports = [443]
owner = "search@example.com"
reason = "fetches pages of customers"

# What namespaces are for, and who is called; `*` stands for anything.
[plan]
staging = ["*-staging"]
production = ["shop"]
system = ["mesh"]
contacts = ["shop*=team shop, #shop-oncall"]

# What only one cluster has.
[clusters.east.draft]
api_servers = ["10.0.0.1", "10.0.0.2"]
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_uses_every_key() {
        let settings = Settings::parse(Settings::example(), "egress-atlas.toml").unwrap();
        assert_eq!(settings.join, Join::default());
        assert_eq!((settings.categories.len(), settings.suspects.len(), settings.exemptions.len()), (1, 1, 2));
        assert_eq!(settings.categories[0].reach.ports.len(), 2);
        let east = settings.network("east", "240.10.1.1".parse().unwrap());
        assert_eq!(east, Some(("pods", "240.10.0.0/16".parse().unwrap())));
        assert_eq!(settings.network("west", "240.10.1.1".parse().unwrap()), None);
        let narrow = settings.network("west", "10.244.1.1".parse().unwrap());
        assert_eq!(narrow, Some(("pods", "10.244.0.0/16".parse().unwrap())));
        let wide = settings.network("west", "10.1.1.1".parse().unwrap());
        assert_eq!(wide, Some(("internal", "10.0.0.0/8".parse().unwrap())));
    }

    #[test]
    fn an_empty_file_is_the_same_as_none() {
        let settings = Settings::parse("", "").unwrap();
        assert_eq!(settings, Settings::default());
    }
}
