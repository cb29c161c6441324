//! The plan as Markdown, with commands that can be pasted, and as JSON.

use super::super::escape::code;
use super::super::path::cluster_folder;
use super::super::table::Table;
use super::super::wording::{count, list};
use super::risk::Environment;
use super::schedule::{Plan, Step};
use crate::policy::Direction;
use crate::policy::draft::Dialect;
use crate::policy::names::PolicyName;

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
            list(why, 4),
            list(risk.blockers.iter().cloned(), 3),
        ]);
    }
    out.push(table.to_markdown());
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
        out.extend(rollback(plan, cluster, namespace));
        out.extend(["```".to_owned(), String::new()]);
    }
    out
}

fn folder(plan: &Plan, cluster: &str, namespace: &str) -> String {
    let path =
        if has_several(plan) { format!("{}/{namespace}", cluster_folder(cluster)) } else { namespace.to_owned() };
    quoted(&format!("{}/{path}", plan.drafts.trim_end_matches('/')))
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

fn rollback(plan: &Plan, cluster: &str, namespace: &str) -> Vec<String> {
    let context = quoted(cluster);
    let known = plan.objects.get(&format!("{cluster}/{namespace}"));
    let mut out = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let word = direction.as_str().to_ascii_lowercase();
        out.push(format!("# {word}"));
        if let Some(objects) = known {
            for object in objects.iter().filter(|object| object.direction == word) {
                let place = if object.namespace.is_empty() {
                    String::new()
                } else {
                    format!(" -n {}", quoted(&object.namespace))
                };
                out.push(format!(
                    "kubectl --context {context} delete {}{place} {} --ignore-not-found",
                    object.resource,
                    quoted(&object.name)
                ));
            }
            continue;
        }
        for name in PolicyName::ALL.into_iter().filter(|name| name.direction() == direction) {
            out.push(format!(
                "kubectl --context {context} delete {} -n {} {name} --ignore-not-found",
                Dialect::Kubernetes.resource(),
                quoted(namespace)
            ));
        }
    }
    out
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./=:@".contains(&byte)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''").replace('\n', " "))
    }
}

/// As JSON.
pub fn plan_json(plan: &Plan) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(plan).map(|text| text + "\n")
}
