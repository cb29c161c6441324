//! The plan as Markdown, with commands that can be pasted, and as JSON.

use super::super::escape::{code, prose};
use super::super::table::Table;
use super::super::wording::{count, list};
use super::commands::{folder, quoted, rollback};
use super::risk::Environment;
use super::schedule::{Plan, Step};
use crate::policy::Direction;

const fn word(environment: Environment) -> &'static str {
    match environment {
        Environment::Staging => "staging",
        Environment::Production => "production",
        Environment::System => "system",
    }
}

/// In Markdown.
pub fn plan_markdown(plan: &Plan) -> String {
    let mut out = vec!["# Rollout plan".to_owned(), String::new()];
    out.push(
        "Each step ends with a soak. The next one begins only when the gate answers *clean* (status 0); *not proven* (status 3) is no \
         answer, and *not clean* (status 1) means: roll back, mend, begin the step again."
            .to_owned(),
    );
    out.extend(plan.notes.iter().flat_map(|note| [String::new(), format!("> {note}")]));
    out.extend([String::new(), "## Namespaces by blast radius".to_owned(), String::new()]);
    let mut table = Table::new(&["Namespace", "Environment", "#Points", "Why", "Decide first"]);
    for risk in &plan.ranking {
        let why = risk.reasons.iter().map(|reason| format!("{} ({})", reason.what, reason.points));
        table.row([
            code(&format!("{}/{}", risk.cluster, risk.namespace)),
            word(risk.environment).to_owned(),
            count(risk.points),
            list(why, 6),
            list(risk.blockers.iter().cloned(), 3),
        ]);
    }
    out.push(table.to_markdown());
    let unknown = plan.ranking.iter().flat_map(|risk| {
        risk.unknown
            .iter()
            .map(|what| format!("- {}: {}", code(&format!("{}/{}", risk.cluster, risk.namespace)), prose(what)))
    });
    let unknown: Vec<String> = unknown.collect();
    if !unknown.is_empty() {
        out.extend(["## What this baseline cannot know".to_owned(), String::new()]);
        out.push("The policies were made without knowing what these need, or whether they come again:".to_owned());
        out.push(String::new());
        out.extend(unknown);
        out.push(String::new());
    }
    for step in &plan.steps {
        out.extend(step_text(plan, step));
    }
    if !plan.left_out.is_empty() {
        out.extend(["## In no step".to_owned(), String::new()]);
        out.extend(
            plan.left_out.iter().map(|(cluster, name, why)| format!("- {}: {why}", code(&format!("{cluster}/{name}")))),
        );
        out.push(String::new());
    }
    out.join("\n")
}

fn step_text(plan: &Plan, step: &Step) -> Vec<String> {
    let mut out = vec![format!("## Step {}: {}", step.number, step.title), String::new()];
    for (cluster, namespace) in &step.namespaces {
        let place = format!("{cluster}/{namespace}");
        let folder = folder(plan, cluster, namespace);
        out.extend([format!("### {}", code(&place)), String::new(), "```sh".to_owned()]);
        let traffic = traffic(plan, cluster, namespace, &folder);
        out.push("# before: nothing that was recorded breaks".to_owned());
        out.push(format!("egress-atlas replay {traffic} --flows FLOWS --dns DNS --kube KUBE"));
        if is_of(plan, cluster, namespace, "ciliumnetworkpolicies") {
            out.push(format!(
                "# the DNS proxy learns names first, as {folder}/README.md says; wait until older answers have run out"
            ));
        }
        out.push("# apply all at once: one object alone closes what the others open".to_owned());
        out.push(format!("kubectl --context {} apply -k {folder}", quoted(cluster)));
        out.push("APPLIED=$(date -u +%Y-%m-%dT%H:%M:%SZ)".to_owned());
        out.push("# is it enforced at all?".to_owned());
        out.push(format!(
            "egress-atlas probe --namespace {} | kubectl --context {} apply -f -",
            quoted(namespace),
            quoted(cluster)
        ));
        out.push(format!("# the gate, after {} hours", step.soak_hours));
        out.push(format!(
            "egress-atlas soak {traffic} --since \"$APPLIED\" --for {}h --baseline {} --flows FLOWS --dns DNS --kube KUBE",
            step.soak_hours,
            quoted(&plan.baseline)
        ));
        out.extend(["```".to_owned(), String::new(), "Roll back:".to_owned(), String::new(), "```sh".to_owned()]);
        // Where denies are rules of their own, they have to go first, by name.
        if !["antrea", "clusternetworkpolicies"].into_iter().any(|kind| is_of(plan, cluster, namespace, kind)) {
            out.push("# everything".to_owned());
            out.push(format!("kubectl --context {} delete -k {folder} --ignore-not-found", quoted(cluster)));
        }
        for direction in [Direction::Egress, Direction::Ingress] {
            out.push(format!("# {}", direction.as_str().to_ascii_lowercase()));
            out.extend(rollback(plan, cluster, namespace, direction));
        }
        out.extend(["```".to_owned(), String::new()]);
    }
    out
}

fn has_several(plan: &Plan) -> bool {
    let clusters: std::collections::BTreeSet<&str> = plan.ranking.iter().map(|risk| risk.cluster.as_str()).collect();
    clusters.len() > 1
}

/// The policies with the cluster that they are for, and the profile where the objects tell the network plugin.
fn traffic(plan: &Plan, cluster: &str, namespace: &str, folder: &str) -> String {
    let is_plain = cluster.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let prefix =
        if has_several(plan) && is_plain && !cluster.is_empty() { format!("{cluster}=") } else { String::new() };
    let profiles = [("cilium.io", "cilium"), ("projectcalico.org", "calico"), ("crd.antrea.io", "antrea")];
    let profile = profiles.into_iter().find(|(group, _)| is_of(plan, cluster, namespace, group));
    let profile = profile.map(|(_, profile)| format!(" --profile {profile}")).unwrap_or_default();
    format!("--policies {prefix}{folder}{profile}")
}

/// Whether an object of a place is of a resource with this in its name.
fn is_of(plan: &Plan, cluster: &str, namespace: &str, resource: &str) -> bool {
    let objects = plan.objects.get(&format!("{cluster}/{namespace}"));
    objects.is_some_and(|objects| objects.iter().any(|object| object.resource.contains(resource)))
}

/// As JSON.
pub fn plan_json(plan: &Plan) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(plan).map(|text| text + "\n")
}
