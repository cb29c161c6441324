//! The runbook: how the policies are laid out, rolled out and rolled back, and who is called, by the real names of everything.
//!
//! In: a finished plan. Out: one Markdown document for whoever is woken at night; it can be read without the plan.

use super::super::escape::{code, prose};
use super::super::table::Table;
use super::super::wording::{counted, list, size};
use super::commands::{APPLY_ORDER, folder, quoted, rollback};
use super::risk::NamespaceRisk;
use super::schedule::Plan;
use crate::policy::Direction;
use crate::policy::names::PolicyName;

/// In Markdown.
pub fn runbook_markdown(plan: &Plan) -> String {
    let mut out = vec!["# Runbook: network policies".to_owned(), String::new()];
    out.extend(first_minutes());
    out.extend(layout(plan));
    out.extend(rollout(plan));
    out.extend(escalation(plan));
    out.extend(["## Namespaces".to_owned(), String::new()]);
    for step in &plan.steps {
        for place in &step.namespaces {
            let risk = plan.ranking.iter().find(|risk| (&risk.cluster, &risk.namespace) == (&place.0, &place.1));
            out.extend(risk.into_iter().flat_map(|risk| namespace(plan, step.number, risk)));
        }
    }
    if !plan.left_out.is_empty() {
        out.extend(["## Not under these policies".to_owned(), String::new()]);
        let line = |(cluster, name, why): &(String, String, String)| {
            format!("- {}: {}", code(&format!("{cluster}/{name}")), prose(why))
        };
        out.extend(plan.left_out.iter().map(line));
        out.push(String::new());
    }
    out.join("\n")
}

fn first_minutes() -> Vec<String> {
    let text = "\
## Something is broken: the first minutes

1. Which namespace, and which direction? A workload that cannot reach something is **egress** of its own namespace, or **ingress** of the one that it calls. `hubble observe --verdict DROPPED -n NAMESPACE`, or the deny log of your CNI, tells.
2. Customers hurt, or the cause is not plain: **roll that direction back** with the commands of the namespace below. They take away these policies alone; they are safe to repeat.
3. Nobody hurt, and the gate names what is missing (`egress-atlas soak`): mend it as its line says, replay, apply, and begin the soak again.
4. The other direction stays as it is. Roll back both only when nobody can tell.

| the gate says | status | do |
| --- | ---: | --- |
| clean | 0 | go on with the next step |
| not clean, `blocked` | 1 | roll back or mend, then soak again from the beginning |
| not clean, `NO-OP` or `leak` | 1 | the policies stop nothing: call the owners of the CNI; do not go on anywhere |
| not proven | 3 | no answer: mend the feed, or wait, or use what stayed silent; do not go on |
";
    text.lines().map(str::to_owned).chain([String::new()]).collect()
}

fn layout(plan: &Plan) -> Vec<String> {
    let mut out = vec!["## Layout".to_owned(), String::new()];
    out.push(format!(
        "The policies of a namespace lie in one folder below {}, one file for each pinned name. Objects are found and rolled back by exactly these names; \
         an object behind a pinned name may be one of several, called `<pinned name>-<template>`.",
        code(&plan.drafts)
    ));
    out.push(String::new());
    let mut table = Table::new(&["File", "Direction", "Holds"]);
    for name in APPLY_ORDER {
        let holds = match name {
            PolicyName::EgressBaselineAllow => "what every pod needs: DNS, time, other pods",
            PolicyName::EgressAllowlist => "where single workloads connect to",
            PolicyName::IngressAllowlist => "who connects to single workloads",
            PolicyName::DefaultDenyEgress => "closes egress of every pod",
            PolicyName::DefaultDenyIngress => "closes ingress of every pod",
        };
        table.row([code(&name.file()), name.direction().as_str().to_ascii_lowercase(), holds.to_owned()]);
    }
    out.push(table.to_markdown());
    out.push(
        "A destination is added by an owner: `egress-atlas review approve` where it is suspect, a new baseline that saw it pass, a new draft, a replay, a review of the difference, \
         and a soak. Nobody edits an object in the cluster: the next apply would undo it, and `egress-atlas drift` would not know why."
            .to_owned(),
    );
    out.push(String::new());
    out
}

fn rollout(plan: &Plan) -> Vec<String> {
    let mut out = vec!["## Rollout".to_owned(), String::new()];
    out.push("Files are applied in the order of the table above: what opens first, what closes last. A step ends with its gate.".to_owned());
    out.push(String::new());
    for step in &plan.steps {
        let places = step.namespaces.iter().map(|(cluster, name)| code(&format!("{cluster}/{name}")));
        let places: Vec<String> = places.collect();
        out.push(format!(
            "{}. {}, soak of {} h: {}",
            step.number,
            step.title,
            step.soak_hours,
            list(places, usize::MAX)
        ));
    }
    out.push(String::new());
    out
}

fn escalation(plan: &Plan) -> Vec<String> {
    let mut out = vec!["## Escalation".to_owned(), String::new()];
    out.push("On call rolls back without asking. Then, in this order: the contact of the namespace; whoever answered for the destination; the owners of the CNI when policies stop \
         nothing, or stop what they allow; security when the blocked destination is suspect (do not open it to make an alarm go away)."
        .to_owned());
    out.push(String::new());
    let mut table = Table::new(&["Namespace", "Contact", "Answered for destinations", "Who else suffers"]);
    for risk in &plan.ranking {
        let place = format!("{}/{}", risk.cluster, risk.namespace);
        let mut hurt: Vec<String> = risk.called_by.iter().map(|caller| code(caller)).collect();
        if risk.called_from_outside {
            hurt.insert(0, "callers outside the cluster".to_owned());
        }
        let contact = plan.contacts.get(&place).map_or_else(|| "**nobody named**".to_owned(), |who| prose(who));
        table.row([code(&place), contact, list(risk.owners.iter().map(|owner| prose(owner)), 4), list(hurt, 6)]);
    }
    out.push(table.to_markdown());
    let unnamed =
        plan.ranking.iter().filter(|risk| !plan.contacts.contains_key(&format!("{}/{}", risk.cluster, risk.namespace)));
    let unnamed = size(unnamed.count());
    if unnamed > 0 {
        out.push(format!(
            "{} without a contact: name them with `contacts` in `[plan]` of `egress-atlas.toml`, and write this document again.",
            counted(unnamed, "namespace")
        ));
        out.push(String::new());
    }
    out
}

fn namespace(plan: &Plan, step: usize, risk: &NamespaceRisk) -> Vec<String> {
    let place = format!("{}/{}", risk.cluster, risk.namespace);
    let mut out = vec![format!("### {}", code(&place)), String::new()];
    out.push(format!(
        "Step {step}. Its policies: `{}`.",
        folder(plan, &risk.cluster, &risk.namespace).replace('`', "")
    ));
    for what in &risk.unknown {
        out.push(format!("Look here first: {}.", prose(what)));
    }
    out.push(String::new());
    for direction in [Direction::Egress, Direction::Ingress] {
        let word = direction.as_str().to_ascii_lowercase();
        out.push(format!("Roll back {word}:"));
        out.extend([String::new(), "```sh".to_owned()]);
        let commands = rollback(plan, &risk.cluster, &risk.namespace, direction);
        if commands.is_empty() {
            out.push(format!("# no object of {word} among the policies given"));
        }
        out.extend(commands);
        out.extend(["```".to_owned(), String::new()]);
    }
    out.push(
        "Both are the two blocks, one after the other. Then look whether it is so, and whether traffic passes again:"
            .to_owned(),
    );
    out.extend([String::new(), "```sh".to_owned()]);
    let mut resources: Vec<&str> =
        plan.objects.get(&place).into_iter().flatten().map(|object| object.resource.as_str()).collect();
    resources.sort_unstable();
    resources.dedup();
    if resources.is_empty() {
        resources.push("networkpolicies.networking.k8s.io");
    }
    out.push(format!(
        "kubectl --context {} get {} -n {}",
        quoted(&risk.cluster),
        resources.join(","),
        quoted(&risk.namespace)
    ));
    out.push(format!(
        "egress-atlas investigate {} --since 15m --flows FLOWS --dns DNS --kube KUBE",
        quoted(&risk.namespace)
    ));
    out.extend(["```".to_owned(), String::new()]);
    out
}
