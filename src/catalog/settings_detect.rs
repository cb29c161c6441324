//! `[detect]`: the thresholds of the detectors, and which of them are off.
//!
//! In: the table of `egress-atlas.toml`. Out: a value for every threshold. Each is listed once, below; what they mean in full, and what was
//! measured with them, is in `docs/detectors.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{DocumentError, Table, suggestion};
use super::settings_rules::{BEHAVIOUR_CLASSES, optional_list};

/// One number that a detector compares with.
#[derive(Debug, PartialEq)]
pub struct Threshold {
    /// The class of the detector.
    pub class: &'static str,
    /// The key below `[detect.CLASS]`.
    pub key: &'static str,
    /// Its value unless the user says otherwise.
    pub default: f64,
    /// What is compared.
    pub what: &'static str,
}

macro_rules! thresholds {
    ($($name:ident $class:literal $key:literal $default:literal $what:literal)*) => {
        $(#[doc = $what]
        pub const $name: Threshold = Threshold { class: $class, key: $key, default: $default, what: $what };)*
        /// Every threshold, in the order of the documentation.
        pub const THRESHOLDS: &[&Threshold] = &[$(&$name),*];
    };
}

thresholds! {
    BEACON_CONNECTIONS "beaconing" "connections" 12.0 "connections of one pod at least"
    BEACON_SCORE "beaconing" "score" 0.7 "score at least, 0 to 1"
    BEACON_HOURS "beaconing" "hours" 1.0 "hours from the first connection to the last at least"
    BEACON_WORKLOADS "beaconing" "workloads" 2.0 "workloads of the cluster that use the destination at most"
    RARE_CONNECTIONS "rare_destination" "connections" 3.0 "connections at most"
    RARE_WORKLOADS "rare_destination" "workloads" 10.0 "workloads of the cluster that talk to the outside at least"
    RARE_DAYS "rare_destination" "days" 3.0 "days of flows at least"
    FIRST_SEEN_DAYS "first_seen" "days" 3.0 "days of flows before the first contact at least, without a baseline"
    TUNNEL_NAMES "dns_tunnel" "names" 30.0 "different names below one domain at least"
    TUNNEL_CHARACTERS "dns_tunnel" "characters" 16.0 "mean characters left of the domain at least"
    TUNNEL_SCORE "dns_tunnel" "score" 0.7 "score at least, 0 to 1"
    GENERATED_SCORE "generated_name" "score" 0.5 "unlikeliness of the letters at least, 0 to 1"
    GENERATED_DOMAINS "generated_name" "domains" 10.0 "generated-looking domains that do not exist at least"
    LONG_HOURS "long_connection" "hours" 2.0 "hours that one connection was open at least"
    LONG_WORKLOADS "long_connection" "workloads" 2.0 "workloads of the cluster that use the destination at most"
    UPLOAD_MEGABYTES "upload" "megabytes" 10.0 "megabytes sent at least"
    UPLOAD_RATIO "upload" "ratio" 10.0 "bytes sent for each received at least"
    BEFORE_CONNECTIONS "connected_before_asked" "connections" 3.0 "connections without an earlier answer at least"
    SCAN_ADDRESSES "scanning" "addresses" 30.0 "new addresses on one port within ten minutes at least"
    SCAN_PORTS "scanning" "ports" 15.0 "new ports of one address within ten minutes at least"
    DENIED_ATTEMPTS "denied_burst" "attempts" 20.0 "denied connections within about ten minutes at least"
    DENIED_TARGETS "denied_burst" "targets" 8.0 "destinations among them at least"
    METADATA_SHARE "metadata_access" "share" 0.3 "share of the cluster's workloads that do the same at most"
}

/// What the user says about detectors.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Detect {
    /// `off`: classes that are not judged.
    pub off: BTreeSet<Box<str>>,
    /// `known`: whether behaviour towards destinations with a category is judged like that towards unknown ones.
    pub known: bool,
    /// Thresholds that differ from the default, in millionths.
    set: BTreeMap<(&'static str, &'static str), i64>,
}

impl Detect {
    /// Whether a class is judged.
    pub fn is_on(&self, class: &str) -> bool {
        !self.off.contains(class)
    }

    /// The value of a threshold.
    #[expect(clippy::cast_precision_loss, reason = "read from a number of at most nine digits")]
    pub fn value(&self, threshold: &Threshold) -> f64 {
        let set = self.set.get(&(threshold.class, threshold.key));
        set.map_or(threshold.default, |millionths| *millionths as f64 / 1e6)
    }

    /// The same with one threshold changed; for measurements.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the clamp")]
    pub fn with(mut self, threshold: &Threshold, value: f64) -> Self {
        let millionths = (value.clamp(0.0, MOST) * 1e6).round() as i64;
        self.set.insert((threshold.class, threshold.key), millionths);
        self
    }

    pub(super) fn read(table: &Table<'_>) -> Result<Self, DocumentError> {
        let classes: Vec<&str> = THRESHOLDS.iter().map(|threshold| threshold.class).collect();
        let mut known = vec!["off", "known"];
        known.extend(&classes);
        known.dedup();
        table.expect_keys(&known)?;
        let mut detect = Self::default();
        for value in optional_list(table, "off")? {
            let class = value.text()?;
            if !BEHAVIOUR_CLASSES.contains(&class) {
                return Err(value.refuse(class, &suggestion(class, &BEHAVIOUR_CLASSES)));
            }
            detect.off.insert(class.into());
        }
        if let Some(value) = table.get("known") {
            detect.known = value.boolean()?;
        }
        for class in classes {
            let Some(table) = table.table(class)? else { continue };
            let own: Vec<&&Threshold> = THRESHOLDS.iter().filter(|threshold| threshold.class == class).collect();
            table.expect_keys(&own.iter().map(|threshold| threshold.key).collect::<Vec<_>>())?;
            for threshold in own {
                let Some(value) = table.get(threshold.key) else { continue };
                let number = value.number()?;
                if !(0.0..=MOST).contains(&number) {
                    return Err(value.refuse(&number.to_string(), "write a number from 0 to 1,000,000"));
                }
                detect = detect.with(threshold, number);
            }
        }
        Ok(detect)
    }
}

/// The largest value that a threshold may have.
const MOST: f64 = 1e6;
