//! Who is told the addresses of outside names, and who then connects to them: a client that asks for many and connects to none asks
//! for others.
//!
//! In: answers and attributed connections, in any order and in any number of parts. Out: the forwarder of each cluster, if
//! one shows. Nodes are not looked at here: they are known to ask for their pods.

use hashbrown::{HashMap, HashSet};

use super::Forwarder;
use crate::attribute::{Evidence, PartyId};
use crate::model::{AddressId, Grade, TextId};

/// Fewer answers show nothing.
const ANSWERS_MIN: u64 = 50;
/// A client that gets fewer of a cluster's answers (one in so many) is no forwarder worth telling.
const SHARE_MIN: u64 = 5;

/// A pod with all its addresses, or an address that is no pod's.
type Asker = (TextId, Option<PartyId>, AddressId);

fn asker(cluster: TextId, party: Option<PartyId>, address: AddressId) -> Asker {
    (cluster, party, if party.is_some() { AddressId::NONE } else { address })
}

/// What one thread has seen.
#[derive(Debug, Default)]
pub(super) struct Askers {
    told: HashMap<Asker, u64>,
    users: HashSet<Asker>,
}

impl Askers {
    /// A client was told an address outside.
    pub(super) fn told(&mut self, cluster: TextId, party: Option<PartyId>, address: AddressId) {
        *self.told.entry(asker(cluster, party, address)).or_default() += 1;
    }

    /// A client connected; `grade` says on whose answer its name rests.
    pub(super) fn connected(&mut self, cluster: TextId, party: Option<PartyId>, address: AddressId, grade: Grade) {
        if matches!(grade, Grade::Pod | Grade::PodAmbiguous | Grade::PodStale | Grade::PodLater) {
            self.users.insert(asker(cluster, party, address));
        }
    }

    /// Adds what another thread has seen.
    pub(super) fn absorb(&mut self, other: Self) {
        for (asker, answers) in other.told {
            *self.told.entry(asker).or_default() += answers;
        }
        self.users.extend(other.users);
    }

    /// The client of each cluster that got the most answers of those that used none.
    pub(super) fn forwarders(&self, evidence: &Evidence) -> HashMap<TextId, Forwarder> {
        let mut all: HashMap<TextId, u64> = HashMap::new();
        for ((cluster, ..), answers) in &self.told {
            *all.entry(*cluster).or_default() += answers;
        }
        let mut found: HashMap<TextId, Forwarder> = HashMap::new();
        for (asker, answers) in self.told.iter().filter(|(asker, _)| !self.users.contains(*asker)) {
            let of_cluster = all.get(&asker.0).copied().unwrap_or_default();
            if *answers < ANSWERS_MIN || answers.saturating_mul(SHARE_MIN) < of_cluster {
                continue;
            }
            let next = Forwarder { answers: *answers, of: of_cluster, client: shown(asker, evidence).into() };
            let most = found.entry(asker.0).or_insert_with(|| next.clone());
            if (next.answers, &most.client) > (most.answers, &next.client) {
                *most = next;
            }
        }
        found
    }
}

fn shown((_, party, address): &Asker, evidence: &Evidence) -> String {
    match party.and_then(|party| evidence.parties.get(party)) {
        Some(known) => format!("{}/{}", known.namespace, known.pod),
        None => evidence.vocabulary.address_of(*address).to_string(),
    }
}
