//! Which of several names was meant: position and age, with habits learnt per client.
//!
//! Most programs connect to the first address of an answer, so *where* an address stands in each candidate's answer tells
//! names apart; how strictly a client does so is learnt from its own connections with exactly one candidate, with the
//! pods of its workload as the prior. Stub resolvers that chase aliases ask for the target themselves; their alias targets are
//! not what was meant, and other alias targets seldom are. No truth is needed to learn any of it.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::answers::Answer;
use super::join::{AnswerIndex, Candidate, Client, Question};
use super::parties::Parties;
use crate::model::{Grade, NameId, Vocabulary};

/// What was counted about one client or workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Connections with one candidate whose answer had several addresses and was still valid.
    multi: u32,
    /// Of these, to the first address.
    first: u32,
    /// Answers with aliases.
    aliased: u32,
    /// Of these, followed at once by an own question for the target.
    chased: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.multi += other.multi;
        self.first += other.first;
        self.aliased += other.aliased;
        self.chased += other.chased;
    }
}

/// How a name came to be asked that an answer for another candidate leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// At some other time.
    Asked,
    /// Because that answer led there: the client chases aliases, or asked at once.
    Chased,
}

/// Scope of what is proven: pods of one workload share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Group {
    Workload(u32),
    Client(Client),
}

/// What is learnt about clients, mergeable.
#[derive(Debug, Default)]
pub(crate) struct Habits {
    clients: HashMap<Client, Counts>,
    workloads: HashMap<u32, Counts>,
    groups: HashMap<Client, u32>,
    /// Names proven by connections with one candidate → ports.
    proven: HashMap<(Group, NameId), BTreeSet<u16>>,
}

/// An alias target is chased when the client asks for it within this time of the answer.
const CHASE_NANOS: i64 = 200_000_000;
/// A resolver's own lookup of a target may be tapped as the client's, so much before the answer that it is for (CoreDNS: `ExternalName`).
const INNER_NANOS: i64 = 50_000_000;
/// Prior of the share of first addresses: 3 of 5.
const FIRST_PRIOR: (f64, f64) = (3.0, 5.0);
/// Logarithmic penalty of a name that is proven, but only at other ports.
const OTHER_PORT_PENALTY: f64 = 4.0;
/// Logarithmic penalty of an alias target of another candidate: hardly ever what was meant, unless it was asked for itself just now.
const TARGET_PENALTY: f64 = 2.0;
/// An answer that is stamped after the connection weighs at most like one of this age.
const LATE_AS_SECONDS: f64 = 0.25;
/// Logarithmic bonus of a name that pods of the same workload were proven to use at this port, where others were told it.
const OWN_NAME_BONUS: f64 = 4.0;
/// Logarithmic bonus of a name that the CNI reported for this connection.
const REPORTED_BONUS: f64 = 2.0;

impl Habits {
    /// Learns who chases aliases from the answers of one partition.
    pub(crate) fn learn_answers(&mut self, index: &AnswerIndex, parties: &Parties, vocabulary: &Vocabulary) {
        for (client, answers) in index.client_groups() {
            let mut counts = Counts::default();
            // Each group is in the order of names, and of times within a name.
            let asked: HashMap<NameId, &[&Answer]> = answers
                .chunk_by(|one, two| one.name == two.name)
                .filter_map(|of_one| of_one.first().map(|first| (first.name, of_one)))
                .collect();
            for answer in answers.iter().filter(|answer| !answer.chain.is_none()) {
                counts.aliased += 1;
                let chased = vocabulary.chain_of(answer.chain).iter().any(|target| {
                    let Some(of_target) = asked.get(target).filter(|_| *target != answer.name) else { return false };
                    let next = of_target.partition_point(|other| other.time < answer.time);
                    of_target.get(next).is_some_and(|other| other.time <= answer.time.plus_nanos(CHASE_NANOS))
                });
                counts.chased += u32::from(chased);
            }
            self.count(client, counts, parties);
        }
    }

    /// Learns from a connection with exactly one candidate.
    pub(crate) fn learn_connection(&mut self, question: &Question, only: &Candidate, parties: &Parties) {
        let group = group(question.client, parties);
        self.proven.entry((group, only.name)).or_default().insert(question.port);
        if only.addresses > 1 && only.is_valid_at(question.time) {
            let counts = Counts { multi: 1, first: u32::from(only.position == 0), ..Counts::default() };
            self.count(question.client, counts, parties);
        }
    }

    fn count(&mut self, client: Client, counts: Counts, parties: &Parties) {
        if counts == Counts::default() {
            return;
        }
        self.clients.entry(client).or_default().add(counts);
        if let Group::Workload(number) = group(client, parties) {
            self.workloads.entry(number).or_default().add(counts);
            self.groups.insert(client, number);
        }
    }

    /// Adds what was learnt elsewhere.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (client, counts) in other.clients {
            self.clients.entry(client).or_default().add(counts);
        }
        for (number, counts) in other.workloads {
            self.workloads.entry(number).or_default().add(counts);
        }
        self.groups.extend(other.groups);
        for (key, ports) in other.proven {
            self.proven.entry(key).or_default().extend(ports);
        }
    }

    /// The share of connections in which a client takes the first of several addresses.
    fn theta(&self, client: Client) -> f64 {
        let own = self.clients.get(&client).copied().unwrap_or_default();
        let all = self.groups.get(&client).and_then(|number| self.workloads.get(number)).copied().unwrap_or(own);
        let others = (f64::from(all.first - own.first), f64::from(all.multi - own.multi));
        let prior = (others.0 + FIRST_PRIOR.0) / (others.1 + FIRST_PRIOR.1);
        (f64::from(own.first) + prior * FIRST_PRIOR.1) / (f64::from(own.multi) + FIRST_PRIOR.1)
    }

    /// Whether a client asks for alias targets itself: nothing was ever seen between 2 and 41 percent.
    fn chases(&self, client: Client) -> bool {
        let is_chaser = |counts: &Counts| counts.chased >= 3 && counts.chased * 5 > counts.aliased;
        let of_pods = || self.groups.get(&client).and_then(|number| self.workloads.get(number));
        // Pods of one workload share a stub resolver; what is known of them speaks for one that hardly asked.
        match self.clients.get(&client).filter(|own| own.aliased >= 3) {
            Some(own) => is_chaser(own),
            None => of_pods().is_some_and(is_chaser),
        }
    }

    /// Puts candidates in order, the likeliest first, and says how likely that one is.
    pub(crate) fn rank(
        &self,
        question: &Question,
        grade: Grade,
        candidates: Vec<Candidate>,
        reported: &[NameId],
        vocabulary: &Vocabulary,
    ) -> (Vec<Candidate>, f64) {
        let targets = self.targets(question.client, &candidates, vocabulary);
        let is_chased = |name: NameId| targets.get(&name) == Some(&Target::Chased);
        let theta = self.theta(question.client);
        let mut scored: Vec<(bool, f64, Candidate)> = candidates
            .into_iter()
            .map(|candidate| {
                let penalty = if targets.contains_key(&candidate.name) { TARGET_PENALTY } else { 0.0 };
                let score = self.score(question, grade, &candidate, theta, reported) - penalty;
                (is_chased(candidate.name), score, candidate)
            })
            .collect();
        scored.sort_by(|(a_target, a_score, a), (b_target, b_score, b)| {
            a_target
                .cmp(b_target)
                .then(b_score.total_cmp(a_score))
                .then(b.answered_at.cmp(&a.answered_at))
                .then_with(|| vocabulary.name_of(a.name).cmp(vocabulary.name_of(b.name)))
        });
        let confidence = confidence(question, grade, &scored);
        (scored.into_iter().map(|(_, _, candidate)| candidate).collect(), confidence)
    }

    /// The alias targets of other candidates.
    fn targets(&self, client: Client, candidates: &[Candidate], vocabulary: &Vocabulary) -> BTreeMap<NameId, Target> {
        let chases = self.chases(client);
        let mut targets = BTreeMap::new();
        for target in candidates {
            let leads_there =
                |from: &&Candidate| from.name != target.name && vocabulary.chain_of(from.chain).contains(&target.name);
            for from in candidates.iter().filter(leads_there) {
                let at_once = from.answered_at.plus_nanos(-INNER_NANOS)..=from.answered_at.plus_nanos(CHASE_NANOS);
                let how = if chases || at_once.contains(&target.answered_at) { Target::Chased } else { Target::Asked };
                let known = targets.entry(target.name).or_insert(how);
                *known = how.max(*known);
            }
        }
        targets
    }

    fn score(&self, question: &Question, grade: Grade, candidate: &Candidate, theta: f64, reported: &[NameId]) -> f64 {
        let position = match candidate.addresses {
            0 | 1 => 1.0,
            _ if candidate.position == 0 => theta,
            several => (1.0 - theta) / f64::from(several - 1),
        };
        let age = match question.time.seconds_since(candidate.answered_at) {
            // Few of the answers that are stamped later were there before.
            age if age < 0.0 => (-age).max(LATE_AS_SECONDS),
            age => age.max(0.001),
        };
        let ports = self.groups.get(&question.client).map_or(Group::Client(question.client), |n| Group::Workload(*n));
        let proven = match self.proven.get(&(ports, candidate.name)) {
            Some(ports) if !ports.contains(&question.port) => -OTHER_PORT_PENALTY,
            // Among what everybody asked, what pods of the same workload are known to use stands out.
            Some(_) if matches!(grade, Grade::Node | Grade::Cluster) => OWN_NAME_BONUS,
            _ => 0.0,
        };
        position.max(1e-6).ln() - age.log10()
            + proven
            + if reported.contains(&candidate.name) { REPORTED_BONUS } else { 0.0 }
    }
}

fn group(client: Client, parties: &Parties) -> Group {
    match client {
        Client::Party(party) => {
            parties.get(party).map_or(Group::Client(client), |known| Group::Workload(known.workload_number))
        }
        Client::Address(_) => Group::Client(client),
    }
}

/// Normalised score → share that was right on recordings with known truth, in increasing order.
const CALIBRATION: [(f64, f64); 7] =
    [(0.0, 0.10), (0.4, 0.40), (0.55, 0.67), (0.65, 0.82), (0.75, 0.84), (0.85, 0.93), (0.95, 0.955)];

fn calibrated(share: f64) -> f64 {
    let mut below = (0.0, 0.10);
    for above in CALIBRATION {
        if share <= above.0 {
            let width = above.0 - below.0;
            let part = if width > 0.0 { (share - below.0) / width } else { 1.0 };
            return below.1 + part * (above.1 - below.1);
        }
        below = above;
    }
    below.1
}

/// How likely the first of `scored` is right.
fn confidence(question: &Question, grade: Grade, scored: &[(bool, f64, Candidate)]) -> f64 {
    let Some((_, best, first)) = scored.first() else { return 0.0 };
    let rivals: Vec<f64> = scored.iter().filter(|(target, ..)| !target).map(|(_, score, _)| *score).collect();
    let share =
        if rivals.len() <= 1 { 1.0 } else { 1.0 / rivals.iter().map(|score| (score - best).exp()).sum::<f64>() };
    let among = if rivals.len() > 1 {
        calibrated(share)
    } else if scored.len() > 1 {
        0.93
    } else if first.is_valid_at(question.time) && question.time.is_known() {
        0.99
    } else {
        0.84
    };
    // What the weaker grades were worth on recordings with known truth, for a single candidate.
    among
        * match grade {
            Grade::Pod | Grade::PodAmbiguous => 1.0,
            Grade::PodStale => 0.85,
            Grade::PodLater => 0.7,
            Grade::Workload => 0.9,
            Grade::Node | Grade::Cluster => 0.8,
            Grade::Reported | Grade::None => 0.0,
        }
}
