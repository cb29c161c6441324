//! One rule, explained: what it allows and every edge of the baseline behind it.
//!
//! In: a draft and the id of a rule, or the end of one. Out: plain text, escaped.

use super::evidence::printable;
use super::growing::peer_text;
use super::model::{Block, Draft, Rule, RulePeer};
use crate::policy::names::PolicyName;

/// The explanation of all rules whose id is `wanted`, ends with `/wanted`, or is `<namespace>/wanted`; empty when there is none.
pub fn explain(draft: &Draft, wanted: &str) -> String {
    let wanted = wanted.strip_prefix(&format!("{}/", draft.namespace)).unwrap_or(wanted);
    draft
        .rules()
        .filter(|(_, rule)| rule.id == wanted || rule.id.ends_with(&format!("/{wanted}")))
        .map(|(policy, rule)| one(draft, policy, rule))
        .collect::<Vec<_>>()
        .join("\n")
}

fn one(draft: &Draft, policy: PolicyName, rule: &Rule) -> String {
    let mut lines = vec![format!("{}/{}", draft.namespace, printable(&rule.id))];
    lines.push(format!("  file      {}", policy.file()));
    lines.push(format!("  peer      {}", peer(&rule.peer)));
    let ports: Vec<String> = rule.ports.iter().map(|(protocol, port)| format!("{protocol}/{port}")).collect();
    lines.push(format!("  ports     {}", if ports.is_empty() { "all".to_owned() } else { ports.join(", ") }));
    for (index, comment) in rule.comments().iter().skip(1).enumerate() {
        lines.push(format!("  {} {}", if index == 0 { "evidence " } else { "         " }, comment.trim_start()));
    }
    for cited in &rule.evidence.cites {
        let text = format!("{} and {} at {}/{}", cited.workload, peer_text(&cited.peer), cited.protocol, cited.port);
        lines.push(format!("  edge      {}", printable(&text)));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The other side of a rule in words.
pub(super) fn peer(peer: &RulePeer) -> String {
    let blocks = |blocks: &[Block]| {
        let each: Vec<String> = blocks
            .iter()
            .map(|block| match block.except.len() {
                0 => block.range.to_string(),
                holes => format!("{} without {holes} ranges", block.range),
            })
            .collect();
        each.join(", ")
    };
    match peer {
        RulePeer::Pods { namespace, selector, .. } => format!("pods of {namespace} with {selector}"),
        RulePeer::EveryPod => "every pod of the cluster".to_owned(),
        RulePeer::Name(name) => name.to_string(),
        RulePeer::Blocks(ranges) => blocks(ranges),
        RulePeer::ApiServer(ranges) if ranges.is_empty() => "the API server".to_owned(),
        RulePeer::ApiServer(ranges) => format!("the API server at {}", blocks(ranges)),
        RulePeer::Nodes(ranges) if ranges.is_empty() => "nodes and host-network pods".to_owned(),
        RulePeer::Nodes(ranges) => format!("nodes at {}", blocks(ranges)),
        RulePeer::Gateway => "the gateway of the network plugin".to_owned(),
    }
}
