//! The first pass: every connection and answer that concerns the target.
//!
//! In: evidence and a matcher. Out: connections folded into pairs of ends and a timeline, the earliest of them one by one, the answers
//! that name the target, and when each pod of the other side had to do with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use hashbrown::{HashMap, HashSet};

use super::bounded::Bounded;
use super::ends::{Ends, Side};
use super::moments::{Moment, Moments};
use super::pair::Pair;
use super::target::{Matcher, Role};
use super::timeline::Timeline;
use crate::attribute::{Answer, Evidence, Named, Parted, PartyId, Passes, Sink};
use crate::kube::Inventory;
use crate::model::{AddressId, NameId, TextId, Timestamp};

/// Bounds of an investigation.
#[derive(Clone, Copy, Debug)]
pub struct InquiryOptions {
    /// Connections that are kept one by one: the earliest.
    pub moments_max: usize,
    /// Distinct pairs, names, addresses and pods that are kept of each: those whose content comes first.
    pub keys_max: usize,
    /// How far around a matching connection the same pods are looked at, in minutes.
    pub around_minutes: u32,
}

impl Default for InquiryOptions {
    fn default() -> Self {
        Self { moments_max: 1_000, keys_max: 200_000, around_minutes: 10 }
    }
}

/// How often something was told, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Answers.
    pub answers: u64,
    /// The first; unknown when no answer has a time.
    pub first: Option<Timestamp>,
    /// The last.
    pub last: Option<Timestamp>,
}

impl Told {
    pub(super) fn count(&mut self, time: Timestamp) {
        self.answers += 1;
        if time.is_known() {
            self.first = Timestamp::earliest(self.first, Some(time));
            self.last = self.last.max(Some(time));
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.answers += other.answers;
        self.first = Timestamp::earliest(self.first, other.first);
        self.last = self.last.max(other.last);
    }
}

/// Names and addresses that belong together by the answers.
pub type Siblings = HashMap<(NameId, AddressId), Told>;

/// What the first pass found.
#[derive(Debug)]
pub struct Found {
    /// When.
    pub timeline: Timeline,
    /// By ends.
    pub pairs: HashMap<Ends, Pair>,
    /// Connections of pairs beyond the bound: in the totals, and in no pair.
    pub pairs_refused: u64,
    /// Matching connections by role.
    pub roles: BTreeMap<Role, u64>,
    /// What there is to be kept one by one: where records stand for intervals, fewer or more than connections.
    pub rows: u64,
    /// The earliest matching connections, in order.
    pub moments: Vec<Moment>,
    /// Answers that concern the target.
    pub told: Siblings,
    /// Names that pods of the target asked for.
    pub asked: HashMap<NameId, Told>,
    /// Names by which pods of the target connected.
    pub used: HashSet<NameId>,
    /// Clusters that the target was seen in.
    pub clusters: HashSet<TextId>,
    /// The pods at the other end, and the minutes in which they had to do with the target.
    pub minutes: HashMap<PartyId, BTreeSet<u32>>,
    /// Whether some list of answers or pods, or of a pair's names, was full.
    pub is_cut: bool,
}

impl Found {
    /// All matching connections.
    pub fn connections(&self) -> u64 {
        self.roles.values().sum()
    }
}

struct Matches<'a> {
    matcher: &'a Matcher,
    inventory: &'a Inventory,
    timeline: Timeline,
    pairs: Bounded<Ends, Pair>,
    roles: BTreeMap<Role, u64>,
    rows: u64,
    moments: Moments,
    told: Bounded<(NameId, AddressId), Told>,
    asked: Bounded<NameId, Told>,
    used: HashSet<NameId>,
    clusters: HashSet<TextId>,
    minutes: Bounded<PartyId, BTreeSet<u32>>,
}

impl<'a> Matches<'a> {
    fn new(matcher: &'a Matcher, inventory: &'a Inventory, timeline: &Timeline, options: InquiryOptions) -> Self {
        Self {
            matcher,
            inventory,
            timeline: timeline.clone(),
            pairs: Bounded::new(options.keys_max),
            roles: BTreeMap::new(),
            rows: 0,
            moments: Moments::new(options.moments_max),
            told: Bounded::new(options.keys_max),
            asked: Bounded::new(options.keys_max),
            used: HashSet::new(),
            clusters: HashSet::new(),
            minutes: Bounded::new(options.keys_max),
        }
    }

    fn absorb(&mut self, evidence: &Evidence, other: Self) {
        self.timeline.absorb(&other.timeline);
        self.pairs.absorb(evidence, other.pairs, |mine, theirs| mine.absorb(evidence, theirs));
        for (role, count) in other.roles {
            *self.roles.entry(role).or_default() += count;
        }
        self.rows += other.rows;
        self.moments.absorb(other.moments);
        self.told.absorb(evidence, other.told, Told::absorb);
        self.asked.absorb(evidence, other.asked, Told::absorb);
        self.used.extend(other.used);
        self.clusters.extend(other.clusters);
        self.minutes.absorb(evidence, other.minutes, Extend::extend);
    }
}

impl Sink for Matches<'_> {
    fn wants(&self, evidence: &Evidence, parted: &Parted) -> bool {
        self.matcher.may_concern(evidence, parted)
    }

    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        let Some(role) = self.matcher.role(evidence, named) else { return };
        let ends = Ends::of(evidence, self.inventory, named);
        self.rows += 1;
        let times = named.counts.connections;
        *self.roles.entry(role).or_default() += times;
        self.clusters.insert(named.cluster);
        let is_outside = matches!(ends.server, Side::Name(_) | Side::Address(_));
        let grade = is_outside.then_some(named.attributed.grade);
        self.timeline.count((named.first, named.last), named.verdict, grade, times);
        let (bucket, buckets) = (self.timeline.number(named.first), self.timeline.buckets.len());
        if let Some(pair) = self.pairs.entry(evidence, ends) {
            pair.count(evidence, named, (role, matches!(ends.server, Side::Name(_))), (bucket, buckets));
        }
        if role == Role::Client
            && let Some(best) = named.attributed.candidates.first()
        {
            self.used.insert(best.name);
        }
        let other = if role == Role::Client { named.server } else { named.client };
        if self.matcher.is_destination()
            && let Some(party) = other
            && named.first.is_known()
            && let Some(minutes) = self.minutes.entry(evidence, party)
        {
            minutes.extend([named.first.minute(), named.last.minute()]);
        }
        self.moments.keep(evidence, named, role, ends);
    }

    fn answer(&mut self, evidence: &Evidence, answer: &Answer, client: Option<PartyId>) {
        if self.matcher.concerns(evidence, answer) {
            self.clusters.insert(answer.cluster);
            if let Some(told) = self.told.entry(evidence, (answer.name, answer.address)) {
                told.count(answer.time);
            }
        }
        if self.matcher.is_party(client)
            && let Some(told) = self.asked.entry(evidence, answer.name)
        {
            told.count(answer.time);
        }
    }
}

/// Collects everything that concerns the target.
///
/// Fails only when a temporary file cannot be read.
pub fn inquire(
    evidence: &Evidence,
    inventory: &Inventory,
    passes: &Passes,
    (matcher, timeline, options): (&Matcher, &Timeline, InquiryOptions),
) -> io::Result<Found> {
    let parts = passes.attribute(evidence, || Matches::new(matcher, inventory, timeline, options))?;
    let mut all = Matches::new(matcher, inventory, timeline, options);
    for part in parts {
        all.absorb(evidence, part);
    }
    let connections: u64 = all.roles.values().sum();
    let of_pairs: u64 = all.pairs.known.values().map(Pair::connections).sum();
    Ok(Found {
        is_cut: all.told.is_cut || all.asked.is_cut || all.minutes.is_cut || all.pairs.known.values().any(Pair::is_cut),
        timeline: all.timeline,
        pairs_refused: connections - of_pairs,
        pairs: all.pairs.known,
        roles: all.roles,
        rows: all.rows,
        moments: all.moments.into_rows(),
        told: all.told.known,
        asked: all.asked.known,
        used: all.used,
        clusters: all.clusters,
        minutes: all.minutes.known,
    })
}
