//! A finding: what was seen, why it matters, how bad, how sure, what to do, and who has answered for it.
//!
//! In: what a rule found. Out: the finding with the user's exemptions applied. An exempted finding stays visible,
//! and an exemption whose time is over clears nothing.

use std::net::IpAddr;

use crate::catalog::{Date, Exemption};
use crate::classify::{Destination, Rules};
use crate::model::{Confidence, Severity};

/// One reason to look at a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, `suspect/tunnel`.
    pub rule: Box<str>,
    /// The class, `tunnel`; what exemptions name.
    pub class: Box<str>,
    /// Who or what it is, `ngrok`.
    pub label: Box<str>,
    /// How bad it would be.
    pub severity: Severity,
    /// How sure we are.
    pub confidence: Confidence,
    /// The name or address that it is about.
    pub subject: Box<str>,
    /// What it matched, `ngrok.io suffix`.
    pub matched: Box<str>,
    /// Only a name of the CNAME chain matched.
    pub via_chain: bool,
    /// Why it is suspicious.
    pub why: Box<str>,
    /// MITRE ATT&CK techniques.
    pub attack: Box<[Box<str>]>,
    /// Legitimate use that a reviewer will hear about; may be empty.
    pub false_positive: Box<str>,
    /// What to do.
    pub advice: Box<str>,
    /// The exemption that clears it.
    pub exempted: Option<Exempted>,
    /// An exemption that would clear it, had its time not run out; never together with `exempted`.
    pub expired_exemption: Option<Exempted>,
}

/// Who answers for a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempted {
    /// The rule, `egress-atlas.toml exemption 2: hooks.slack.com`.
    pub rule: Box<str>,
    /// Who.
    pub owner: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// The last day.
    pub expires: Date,
}

impl Finding {
    /// Whether nobody has answered for it by an exemption in force.
    pub const fn is_open(&self) -> bool {
        self.exempted.is_none()
    }

    /// Applies the first exemption in force; without one, notes the first whose time is over.
    #[must_use]
    pub(super) fn with_exemptions(self, destination: &Destination<'_>, rules: &Rules<'_>, day: Date) -> Self {
        // A finding about a name is not cleared by an address: others may be behind the same one.
        let names: Vec<&str> = destination.name.into_iter().chain([&*self.subject]).collect();
        let addresses: Vec<IpAddr> = self.subject.parse().into_iter().collect();
        let concerned = rules.settings.exemptions.iter().filter(|exemption| exemption.concerns(&self.class));
        let mut expired = None;
        for exemption in concerned {
            let Some(matched) = exemption_match(exemption, destination, &names, &addresses) else { continue };
            let file = &rules.settings.file;
            let exempted = || exempted(exemption, format!("{file} exemption {}: {matched}", exemption.number));
            if !exemption.is_expired(day) {
                return Self { exempted: Some(exempted()), ..self };
            }
            expired.get_or_insert_with(exempted);
        }
        Self { expired_exemption: expired, ..self }
    }
}

/// What of an exemption fits: its pattern, or the workload where it has none.
fn exemption_match(
    exemption: &Exemption,
    destination: &Destination<'_>,
    names: &[&str],
    addresses: &[IpAddr],
) -> Option<String> {
    let Destination { namespace, workload, port, .. } = *destination;
    if !exemption.workloads.is_empty() && !exemption.workloads.iter().any(|name| **name == *workload) {
        return None;
    }
    if exemption.reach.patterns.is_empty() {
        return exemption.reach.admits(namespace, port).then(|| format!("workload {workload}"));
    }
    exemption.reach.finds(namespace, port, names, addresses).map(ToString::to_string)
}

fn exempted(exemption: &Exemption, rule: String) -> Exempted {
    Exempted {
        rule: rule.into(),
        owner: exemption.owner.clone(),
        reason: exemption.reason.clone(),
        expires: exemption.expires,
    }
}
