//! How right the names are, on generated clusters whose truth is known, beside the rule that everybody else uses.
//!
//! `cargo test --test it accuracy -- --nocapture` prints the table. The bounds guard against regressions; the generator's habits
//! are kinder than real programs, so these figures are no promise.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use egress_atlas::attribute::{Evidence, Fold, FoldLimits, JoinOptions, Rows, attribute};
use egress_atlas::kube::Inventory;
use egress_atlas::model::{Account, Batch, Grade, SourceKind, TextId, Timestamp, registrable};
use egress_atlas::read::{DnstapDecoder, HubbleDecoder};
use egress_atlas::simulate::{Scenario, Sink, dnstap, generate};

#[derive(Default)]
struct Memory {
    flows: Vec<u8>,
    frames: Vec<u8>,
    truth: HashMap<String, Option<String>>,
    kube: Vec<u8>,
}

impl Sink for Memory {
    fn flow_line(&mut self, _node: usize, line: &[u8]) {
        self.flows.extend_from_slice(line);
    }

    fn dns_frame(&mut self, payload: &[u8]) {
        dnstap::frame(&mut self.frames, payload);
    }

    fn truth(&mut self, flow_id: &str, name: Option<&str>) {
        self.truth.insert(flow_id.to_owned(), name.map(str::to_owned));
    }

    fn kube(&mut self, json: &[u8]) {
        self.kube.extend_from_slice(json);
    }
}

/// Hits and tries of one method.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    flows: u32,
    named: u32,
    exact: u32,
    domain: u32,
}

impl Score {
    fn count(&mut self, truth: &str, name: Option<&str>) {
        self.flows += 1;
        let Some(name) = name else { return };
        self.named += 1;
        self.exact += u32::from(name == truth);
        self.domain += u32::from(registrable(name).unwrap_or(name) == registrable(truth).unwrap_or(truth));
    }

    fn precision(self) -> f64 {
        f64::from(self.exact) / f64::from(self.named.max(1))
    }

    fn recall(self) -> f64 {
        f64::from(self.exact) / f64::from(self.flows.max(1))
    }
}

#[derive(Debug, Default)]
struct Evaluation {
    ours: Score,
    naive: Score,
    ours_ambiguous: Score,
    naive_ambiguous: Score,
    /// The same, each (client, server, port, true name) once: busy clients weigh no more than others.
    ours_once: Score,
    naive_once: Score,
    by_grade: BTreeMap<Grade, Score>,
    /// Confidence in tenths → (flows, right).
    calibration: BTreeMap<u32, (u32, u32)>,
    /// Connections that never asked for a name, and how many of them got one.
    direct: (u32, u32),
}

/// The latest answer that this very address got for the destination, at most ten minutes before.
fn naive(
    answers: &HashMap<(IpAddr, IpAddr), Vec<(Timestamp, String)>>,
    client: IpAddr,
    server: IpAddr,
    time: Timestamp,
) -> Option<&str> {
    let list = answers.get(&(client, server))?;
    let until = list.partition_point(|(at, _)| *at <= time);
    let (at, name) = list[..until].last()?;
    (time.seconds_since(*at) <= 600.0).then_some(name)
}

fn evaluate(scenario: &Scenario) -> Evaluation {
    let mut data = Memory::default();
    generate(scenario, &mut data);
    let (mut fold, mut batch, mut account) = (Fold::new(FoldLimits::default()), Batch::default(), Account::default());
    HubbleDecoder::new(true).decode_lines(&data.flows, 0, &mut fold.vocabulary, &mut batch, &mut account);
    DnstapDecoder::new().decode(&data.frames, 0, &mut fold.vocabulary, &mut batch, &mut account);
    let mut answers: HashMap<(IpAddr, IpAddr), Vec<(Timestamp, String)>> = HashMap::new();
    for row in &batch.answers {
        let key = (fold.vocabulary.address_of(row.client), fold.vocabulary.address_of(row.address));
        answers.entry(key).or_default().push((row.time, fold.vocabulary.name_of(row.name).to_owned()));
    }
    for list in answers.values_mut() {
        list.sort();
    }
    fold.add(&batch, TextId::NONE).unwrap();
    // The capture names no cluster: it is of the one that the flows name, as on the command line.
    let cluster = fold.clusters(SourceKind::Flows).next().unwrap().to_owned();
    let mut inventory = Inventory::default();
    inventory.add(&cluster, &data.kube, &mut account);
    assert!(account.is_balanced());
    let evidence = Evidence::gather(vec![fold], &inventory, &cluster, 1).unwrap();
    let sinks = attribute(&evidence, &JoinOptions::default(), 1, || Rows::new(|_, _| true)).unwrap();
    let mut found = Evaluation::default();
    let mut known = HashSet::new();
    for row in sinks.iter().flat_map(|sink| &sink.rows) {
        let vocabulary = &evidence.vocabulary;
        let Some(truth) = data.truth.get(&*vocabulary.record_id_text(row.id)) else { continue };
        let ours = row.names.first().map(|name| vocabulary.name_of(*name));
        let Some(truth) = truth.as_deref().filter(|truth| !truth.is_empty()) else {
            found.direct.0 += 1;
            found.direct.1 += u32::from(ours.is_some());
            continue;
        };
        let (client, server) = (vocabulary.address_of(row.client_address), vocabulary.address_of(row.server_address));
        let naive = naive(&answers, client, server, row.time);
        found.ours.count(truth, ours);
        found.naive.count(truth, naive);
        let pod = row.client.and_then(|party| evidence.parties.get(party)).map(|party| party.pod.clone());
        if known.insert((pod, client, server, row.port, truth)) {
            found.ours_once.count(truth, ours);
            found.naive_once.count(truth, naive);
        }
        if row.grade == Grade::PodAmbiguous {
            found.ours_ambiguous.count(truth, ours);
            found.naive_ambiguous.count(truth, naive);
        }
        found.by_grade.entry(row.grade).or_default().count(truth, ours);
        if ours.is_some() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a confidence is between 0 and 1"
            )]
            let tenth = found.calibration.entry((row.confidence * 10.0) as u32).or_default();
            tenth.0 += 1;
            tenth.1 += u32::from(ours == Some(truth));
        }
    }
    found
}

fn table(name: &str, found: &Evaluation) -> String {
    let mut text = format!("{name}: {} connections with a known name\n", found.ours.flows);
    let mut line = |label: &str, score: &Score| {
        let share = |part: u32| f64::from(part) / f64::from(score.named.max(1));
        writeln!(
            text,
            "  {label:<24} coverage {:.3}  exact precision {:.3}  recall {:.3}  domain precision {:.3}",
            f64::from(score.named) / f64::from(score.flows.max(1)),
            score.precision(),
            score.recall(),
            share(score.domain)
        )
        .unwrap();
    };
    line("ours", &found.ours);
    line("latest answer", &found.naive);
    line("ours, each once", &found.ours_once);
    line("latest, each once", &found.naive_once);
    line("ours, ambiguous", &found.ours_ambiguous);
    line("latest, ambiguous", &found.naive_ambiguous);
    for (grade, score) in &found.by_grade {
        line(grade.as_str(), score);
    }
    for (tenth, (flows, right)) in &found.calibration {
        writeln!(
            text,
            "  confidence {:.1}: {flows} connections, {:.3} right",
            f64::from(*tenth) / 10.0,
            f64::from(*right) / f64::from(*flows)
        )
        .unwrap();
    }
    writeln!(text, "  without any name in truth: {}, named by us: {}", found.direct.0, found.direct.1).unwrap();
    text
}

/// Whether more confidence means more right, where there are enough connections to tell.
fn assert_monotone(found: &Evaluation) {
    let enough = found.calibration.values().filter(|(flows, _)| *flows >= 200);
    let shares: Vec<f64> = enough.map(|(flows, right)| f64::from(*right) / f64::from(*flows)).collect();
    assert!(shares.windows(2).all(|pair| pair[0] <= pair[1] + 0.02), "{shares:?}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn names_are_right_where_the_naive_rule_is_not() {
    let size = |scenario: Scenario| Scenario { flows: 60_000, ..scenario };
    let easy = evaluate(&size(Scenario::easy(11)));
    let hard = evaluate(&size(Scenario::hard(11)));
    let skewed = evaluate(&size(Scenario::skewed(11)));
    let tables = [table("easy", &easy), table("hard", &hard), table("skewed", &skewed)].concat();
    println!("{tables}");
    assert!(easy.ours.precision() > 0.999 && easy.ours.recall() > 0.999);
    for found in [&hard, &skewed] {
        assert!(found.ours.precision() > 0.95);
        assert!(found.ours.recall() > found.naive.recall() + 0.4);
        assert!(found.ours_ambiguous.precision() > found.naive_ambiguous.precision() + 0.2);
        assert!(found.ours_once.precision() > found.naive_once.precision());
        assert_eq!(found.direct.1 * 20 / found.direct.0.max(1), 0, "names for connections that never asked for one");
        assert_monotone(found);
    }
    insta::assert_snapshot!(tables, @r#"
easy: 3659 connections with a known name
  ours                     coverage 1.000  exact precision 1.000  recall 1.000  domain precision 1.000
  latest answer            coverage 1.000  exact precision 1.000  recall 1.000  domain precision 1.000
  ours, each once          coverage 1.000  exact precision 1.000  recall 1.000  domain precision 1.000
  latest, each once        coverage 1.000  exact precision 1.000  recall 1.000  domain precision 1.000
  ours, ambiguous          coverage 0.000  exact precision 0.000  recall 0.000  domain precision 0.000
  latest, ambiguous        coverage 0.000  exact precision 0.000  recall 0.000  domain precision 0.000
  pod                      coverage 1.000  exact precision 1.000  recall 1.000  domain precision 1.000
  confidence 0.9: 3659 connections, 1.000 right
  without any name in truth: 0, named by us: 0
hard: 3574 connections with a known name
  ours                     coverage 0.998  exact precision 0.959  recall 0.958  domain precision 0.960
  latest answer            coverage 0.126  exact precision 0.460  recall 0.058  domain precision 0.836
  ours, each once          coverage 0.997  exact precision 0.954  recall 0.952  domain precision 0.956
  latest, each once        coverage 0.125  exact precision 0.490  recall 0.061  domain precision 0.771
  ours, ambiguous          coverage 1.000  exact precision 0.979  recall 0.979  domain precision 0.979
  latest, ambiguous        coverage 0.277  exact precision 0.028  recall 0.008  domain precision 0.710
  pod                      coverage 1.000  exact precision 0.992  recall 0.992  domain precision 0.992
  pod-ambiguous            coverage 1.000  exact precision 0.979  recall 0.979  domain precision 0.979
  pod-later                coverage 1.000  exact precision 0.954  recall 0.954  domain precision 0.954
  workload                 coverage 1.000  exact precision 0.961  recall 0.961  domain precision 0.961
  node                     coverage 1.000  exact precision 0.644  recall 0.644  domain precision 0.653
  cluster                  coverage 1.000  exact precision 0.667  recall 0.667  domain precision 1.000
  none                     coverage 0.000  exact precision 0.000  recall 0.000  domain precision 0.000
  confidence 0.2: 3 connections, 0.667 right
  confidence 0.3: 10 connections, 0.500 right
  confidence 0.4: 6 connections, 0.667 right
  confidence 0.5: 15 connections, 0.267 right
  confidence 0.6: 336 connections, 0.824 right
  confidence 0.7: 353 connections, 0.892 right
  confidence 0.8: 841 connections, 0.974 right
  confidence 0.9: 2004 connections, 0.997 right
  without any name in truth: 36, named by us: 0
skewed: 3574 connections with a known name
  ours                     coverage 0.998  exact precision 0.959  recall 0.957  domain precision 0.960
  latest answer            coverage 0.088  exact precision 0.444  recall 0.039  domain precision 0.847
  ours, each once          coverage 0.997  exact precision 0.954  recall 0.951  domain precision 0.956
  latest, each once        coverage 0.064  exact precision 0.505  recall 0.032  domain precision 0.818
  ours, ambiguous          coverage 1.000  exact precision 0.979  recall 0.979  domain precision 0.979
  latest, ambiguous        coverage 0.200  exact precision 0.028  recall 0.006  domain precision 0.732
  pod                      coverage 1.000  exact precision 0.992  recall 0.992  domain precision 0.992
  pod-ambiguous            coverage 1.000  exact precision 0.979  recall 0.979  domain precision 0.979
  pod-later                coverage 1.000  exact precision 0.953  recall 0.953  domain precision 0.953
  workload                 coverage 1.000  exact precision 0.961  recall 0.961  domain precision 0.961
  node                     coverage 1.000  exact precision 0.644  recall 0.644  domain precision 0.653
  cluster                  coverage 1.000  exact precision 0.667  recall 0.667  domain precision 1.000
  none                     coverage 0.000  exact precision 0.000  recall 0.000  domain precision 0.000
  confidence 0.2: 3 connections, 0.667 right
  confidence 0.3: 10 connections, 0.500 right
  confidence 0.4: 6 connections, 0.667 right
  confidence 0.5: 15 connections, 0.267 right
  confidence 0.6: 335 connections, 0.824 right
  confidence 0.7: 353 connections, 0.892 right
  confidence 0.8: 841 connections, 0.974 right
  confidence 0.9: 2005 connections, 0.996 right
  without any name in truth: 36, named by us: 0
"#);
}
