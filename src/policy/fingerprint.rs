//! A short mark of what a policy says, to tell whether evidence is about the policies that are in force now.
//!
//! In: a compiled policy. Out: hexadecimal digits that do not depend on file, line, comments or the order of keys. Marks of different
//! releases of this program need not agree: that looks like another policy, never like the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{Policy, PolicySet, Section};

/// The mark of one policy: 16 digits.
pub fn fingerprint(policy: &Policy) -> String {
    let without_lines = |section: &Option<Section>| {
        let mut section = section.clone();
        for rule in section.iter_mut().flat_map(|section| &mut section.rules) {
            rule.line = 0;
        }
        section
    };
    let said = (
        (&policy.dialect, &policy.tier, &policy.subject, policy.is_enforced),
        (without_lines(&policy.egress), without_lines(&policy.ingress)),
    );
    let digest = Sha256::digest(format!("{said:?}").as_bytes());
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _unfailing = write!(text, "{byte:02x}");
        text
    })
}

/// The marks of a set, by the cluster (empty for every cluster) and the object in words.
pub fn fingerprints(set: &PolicySet) -> BTreeMap<String, String> {
    let name = |policy: &Policy| match &policy.id.cluster {
        Some(cluster) => format!("{cluster}: {}", policy.id),
        None => policy.id.to_string(),
    };
    set.policies.iter().map(|policy| (name(policy), fingerprint(policy))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySource;

    fn mark(text: &str) -> String {
        let set = PolicySet::parse(&[PolicySource { file: "p.yaml", text, cluster: None }]).unwrap();
        fingerprints(&set).into_values().next().unwrap()
    }

    #[test]
    fn layout_does_not_matter_and_meaning_does() {
        let policy = |ports: &str, comment: &str| {
            format!(
                "{comment}\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a, namespace: shop}}\nspec:\n  podSelector: {{}}\n  policyTypes: [Egress]\n  egress:\n  - ports: [{{port: {ports}}}]\n"
            )
        };
        assert_eq!(mark(&policy("443", "")), mark(&policy("443", "# a comment\n\n")));
        assert_ne!(mark(&policy("443", "")), mark(&policy("444", "")));
    }
}
