//! Names that try to be markup, escape sequences or paths.
use std::collections::BTreeMap;

use egress_atlas::model::{Account, Category, Grade};
use egress_atlas::report::{
    AtlasView, FindingView, Judgement, Paint, ReviewView, index_document, namespace_document, summary_text,
};
use egress_atlas::summary::{
    Activity, Asked, Atlas, InputAccount, Namespace, Peer, SourceCoverage, SourceKind, WorkloadSeen,
};
use proptest::prelude::*;

use super::build::{atlas, edge, judged, name, source, tunnel, workload};

/// Everything that a stranger can name, named with the same hostile text.
fn hostile(text: &str) -> (Namespace, Vec<Judgement>) {
    let finding = FindingView {
        rule: text.to_owned(),
        class: text.to_owned(),
        matched: text.to_owned(),
        why: text.to_owned(),
        false_positive: Some(text.to_owned()),
        attack: vec![text.to_owned()],
        advice: text.to_owned(),
        ..tunnel()
    };
    let exempt = FindingView { exempted: Some(text.to_owned()), class: format!("{text}2"), ..finding.clone() };
    let expired =
        ReviewView::Expired { owner: text.to_owned(), reason: text.to_owned(), expires: Some(text.to_owned()) };
    let mut first =
        edge(name(text), 443).of(text, text).graded(Grade::PodAmbiguous, 1, 500).graded(Grade::PodLater, 1, 0);
    first = first.or(text, 1).through(text).looked_up(text);
    first.0.seen.pods = [text.into()].into();
    let peer = Peer::Workload { cluster: text.into(), namespace: text.into(), workload: workload(text, text) };
    let service = Peer::Service { namespace: text.into(), name: text.into() };
    let plain = || judged(Category::Internal, text, Some(text));
    let egress = vec![
        (
            first.on(&[16]).0,
            Judgement {
                findings: vec![finding, exempt],
                review: expired,
                ..judged(Category::Unclassified, text, Some(text))
            },
        ),
        (edge(peer.clone(), 1).looked_up(text).graded(Grade::None, 1, 0).0, plain()),
        (edge(service, 1).graded(Grade::None, 1, 0).denied(1).0, plain()),
    ];
    let (egress, judgements) = egress.into_iter().unzip();
    let workload_seen = WorkloadSeen {
        pods: [text.into()].into(),
        labels: Some([text.into()].into()),
        guessed: true,
        ..WorkloadSeen::default()
    };
    let asked = Asked { workloads: [workload(text, text)].into(), ..Asked::default() };
    let namespace = Namespace {
        egress,
        ingress: vec![edge(peer, 1).graded(Grade::None, 1, 0).0],
        workloads: BTreeMap::from([(workload(text, text), workload_seen)]),
        asked_only: BTreeMap::from([(text.into(), asked)]),
        ..Namespace::default()
    };
    (namespace, judgements)
}

/// Every text that is written for an atlas in which `text` is the name of everything.
fn hostile_texts(text: &str) -> Vec<String> {
    let (namespace, judgements) = hostile(text);
    let mut cluster = atlas(text, namespace).clusters.remove("prod").unwrap();
    cluster.coverage = vec![
        source(SourceKind::Flows, text, 600..700),
        SourceCoverage {
            kind: SourceKind::Dns,
            name: text.into(),
            activity: Activity { lost: BTreeMap::from([(text.into(), 1)]), ..Activity::default() },
        },
    ];
    let input =
        InputAccount { name: text.into(), format: "hubble", account: Account::default(), problem: Some(text.into()) };
    let atlas = Atlas {
        clusters: BTreeMap::from([(text.into(), cluster)]),
        inputs: vec![input],
        warnings: [text.into()].into(),
        ..Atlas::default()
    };
    let mut view = AtlasView::new(&atlas);
    view.judgements.insert((text, text), judgements);
    view.clock_notes.insert(text, vec![text.to_owned()]);
    let documents = [text, ""].map(|namespace| namespace_document(&view, text, namespace).unwrap());
    documents.into_iter().chain([index_document(&view), summary_text(&view, 400, Paint(false))]).collect()
}

/// Headings, list items, fences and the number of cells in each table row: what a reader's eye takes for structure.
fn structure(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| match line.split(' ').next().unwrap_or_default() {
            mark @ ("-" | "#" | "##" | "###") => mark.to_owned(),
            mark if mark.starts_with("```") => mark.to_owned(),
            "|" => line.replace("\\|", "").matches('|').count().to_string(),
            _ => String::new(),
        })
        .collect()
}

#[test]
fn hostile_names_are_shown_and_not_obeyed() {
    let text = "a|b`<script>\n# x\u{1b}[31m[y](javascript:z)\u{202e}";
    let texts = hostile_texts(text);
    let document = texts.iter().find(|text| text.contains("## Suspects")).unwrap();
    let suspects = document.split("## Suspects").nth(1).unwrap().split("## Ingress").next().unwrap();
    insta::assert_snapshot!(suspects, @r#"
Severity says how bad it would be if true, confidence how sure the match is. Until an owner decides, a suspect is open.

| No. | Destination | Port    | Severity | Class | Connections | Review  |
| --: | ----------- | ------- | -------- | ----- | ----------: | ------- |
|   1 | `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}` | 443/TCP | high     | `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}` |           2 | expired |

### 1. `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}` on 443/TCP

- `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`, severity **high**, confidence high: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e} (rule `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`, matched `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`)
- Innocent reading: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}
- MITRE ATT&CK: `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`.
- To do: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}
- When: 2026-11-16 08:30:00 to 2026-11-16 17:05:09, on 1 of 7 days.
- Who: `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}/a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`; pods `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}`.
- How much: 2 connections.
- Name known by: pod-ambiguous 50.0 %, pod-later 50.0 % (0.25). Addresses: -.
- **Review: expired** by a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}, since a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}. To renew it, complete this in `reviews.toml`:

```toml
[[review]]
# a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e} from a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}/a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}, port 443
destination = "a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E"
cluster = "a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E"
namespace = "a|b`<script>\u000A# x\u001B[31m[y](javascript:z)\u202E"
decision = ""  # "approved" or "rejected"
owner = ""     # who answers for it
reason = ""    # what it is for
expires = ""   # last day, YYYY-MM-DD; leave the line out if it never does
```

Matched, and not held against the namespace:

- `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}` on 443/TCP, `a\u{7c}b\u{60}\u{3c}script\u{3e}\u{a}\u{23} x\u{1b}\u{5b}31m\u{5b}y\u{5d}(javascript:z)\u{202e}2`: a\|b\`\<script\> \# x\u{1b}\[31m\[y\](javascript:z)\u{202e}
"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_name_changes_the_structure_of_a_document(text in "[ -~\n\r\t\u{1b}\u{9b}\u{202e}\u{2028}é]{1,40}") {
        let (hostile, harmless) = (hostile_texts(&text), hostile_texts("harmless"));
        for (hostile, harmless) in hostile.iter().zip(&harmless) {
            let controls = hostile.contains(|c: char| c.is_control() && c != '\n');
            prop_assert!(!controls);
            let turns_text = hostile.contains(['\u{202e}', '\u{2028}']);
            prop_assert!(!turns_text);
            prop_assert_eq!(structure(hostile), structure(harmless), "{}\n{}", hostile, harmless);
        }
    }
}
