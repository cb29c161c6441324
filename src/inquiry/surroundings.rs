//! The second pass: what stood around the target. What the same pods did within some minutes, and which other names and addresses hang
//! together with its own.

use std::io;

use hashbrown::{HashMap, HashSet};

use super::bounded::Bounded;
use super::ends::Ends;
use super::matches::{Found, InquiryOptions, Siblings, Told};
use super::target::Matcher;
use crate::attribute::{Answer, Evidence, Named, Parted, PartyId, Passes, Sink};
use crate::kube::Inventory;
use crate::model::{AddressId, NameId, Timestamp, Verdict};

/// Other connections of pods that had to do with the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AroundKey {
    /// The ends.
    pub ends: Ends,
    /// Whether the pod in question is the server.
    pub inward: bool,
}

/// How often, and how near in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Connections.
    pub connections: u64,
    /// Of these, denied.
    pub denied: u64,
    /// The first.
    pub first: Option<Timestamp>,
    /// The last.
    pub last: Option<Timestamp>,
    /// Least distance to a connection of the target, in minutes.
    pub nearest_minutes: Option<u32>,
}

/// What the second pass found.
#[derive(Debug, Default)]
pub struct Relatives {
    /// What the same pods did.
    pub around: HashMap<AroundKey, Around>,
    /// Connections beyond the bound.
    pub around_refused: u64,
    /// Answers for addresses of the target under other names, and for its names with other addresses.
    pub siblings: Siblings,
    /// Whether there were more than are held.
    pub is_cut: bool,
}

struct Surroundings<'a> {
    matcher: &'a Matcher,
    inventory: &'a Inventory,
    found: &'a Found,
    names: &'a HashSet<NameId>,
    addresses: &'a HashSet<AddressId>,
    around_minutes: u32,
    connections: u64,
    around: Bounded<AroundKey, Around>,
    siblings: Bounded<(NameId, AddressId), Told>,
}

impl Surroundings<'_> {
    /// How near a time is to something that the pod had to do with the target, in minutes.
    fn distance(&self, party: PartyId, time: Timestamp) -> Option<u32> {
        let minutes = self.found.minutes.get(&party)?;
        let minute = time.minute();
        let before = minutes.range(..=minute).next_back().map(|earlier| minute - earlier);
        let after = minutes.range(minute..).next().map(|later| later - minute);
        let nearest = before.into_iter().chain(after).min()?;
        (nearest <= self.around_minutes).then_some(nearest)
    }
}

impl Sink for Surroundings<'_> {
    fn wants(&self, _: &Evidence, parted: &Parted) -> bool {
        let is_near = |party: Option<PartyId>| party.is_some_and(|party| self.distance(party, parted.first).is_some());
        parted.first.is_known() && (is_near(parted.client) || is_near(parted.server))
    }

    fn connection(&mut self, evidence: &Evidence, named: &Named<'_>) {
        if !named.first.is_known() || self.found.minutes.is_empty() {
            return;
        }
        let near = |party: Option<PartyId>| party.and_then(|party| self.distance(party, named.first));
        let found =
            near(named.client).map(|minutes| (minutes, false)).or(near(named.server).map(|minutes| (minutes, true)));
        let Some((minutes, inward)) = found else { return };
        if self.matcher.role(evidence, named).is_some() {
            return;
        }
        let key = AroundKey { ends: Ends::of(evidence, self.inventory, named), inward };
        self.connections += named.counts.connections;
        let Some(around) = self.around.entry(evidence, key) else { return };
        around.connections += named.counts.connections;
        around.denied += if named.verdict == Verdict::Denied { named.counts.connections } else { 0 };
        around.first = Timestamp::earliest(around.first, Some(named.first));
        around.last = around.last.max(Some(named.last));
        around.nearest_minutes = Some(around.nearest_minutes.map_or(minutes, |known| known.min(minutes)));
    }

    fn answer(&mut self, evidence: &Evidence, answer: &Answer, _: Option<PartyId>) {
        // Private addresses of different clusters are different addresses.
        if self.found.clusters.contains(&answer.cluster)
            && self.names.contains(&answer.name) != self.addresses.contains(&answer.address)
            && let Some(told) = self.siblings.entry(evidence, (answer.name, answer.address))
        {
            told.count(answer.time);
        }
    }
}

/// Looks around what the first pass found. Pods of the target have no surroundings: everything they did is found already.
///
/// Fails only when a temporary file cannot be read.
pub fn look_around(
    evidence: &Evidence,
    inventory: &Inventory,
    passes: &Passes,
    (matcher, found, options): (&Matcher, &Found, InquiryOptions),
) -> io::Result<Relatives> {
    if !matcher.is_destination() {
        return Ok(Relatives::default());
    }
    let names: HashSet<NameId> = found.told.keys().map(|(name, _)| *name).collect();
    let addresses: HashSet<AddressId> = found.told.keys().map(|(_, address)| *address).collect();
    let sink = || Surroundings {
        matcher,
        inventory,
        found,
        names: &names,
        addresses: &addresses,
        around_minutes: options.around_minutes,
        connections: 0,
        around: Bounded::new(options.keys_max),
        siblings: Bounded::new(options.keys_max),
    };
    let mut all = sink();
    for part in passes.attribute(evidence, sink)? {
        all.connections += part.connections;
        all.around.absorb(evidence, part.around, |mine, theirs| {
            mine.connections += theirs.connections;
            mine.denied += theirs.denied;
            mine.first = Timestamp::earliest(mine.first, theirs.first);
            mine.last = mine.last.max(theirs.last);
            mine.nearest_minutes = [mine.nearest_minutes, theirs.nearest_minutes].into_iter().flatten().min();
        });
        all.siblings.absorb(evidence, part.siblings, Told::absorb);
    }
    let held: u64 = all.around.known.values().map(|around| around.connections).sum();
    Ok(Relatives {
        around_refused: all.connections - held,
        around: all.around.known,
        is_cut: all.siblings.is_cut,
        siblings: all.siblings.known,
    })
}
