//! Questions that got no address, counted by client and registrable domain as they come.
//!
//! In: rows of a batch. Out: one [`Asking`] for each cluster, client, claimed pod and domain. Memory follows distinct clients and domains, not
//! questions. Adding is commutative and associative.

use hashbrown::HashMap;

use super::fold::FoldLimits;
use super::parties::{Parties, PartyId};
use crate::model::{AddressId, Asking, Batch, EndpointId, NameId, TextId, Timestamp, Vocabulary, VocabularyMap};

/// Cluster, client, claimed pod, domain.
pub(super) type Key = (TextId, AddressId, EndpointId, NameId);

/// Counters by client and domain.
#[derive(Debug, Default)]
pub struct Questions {
    asked: HashMap<Key, Asking>,
}

impl Questions {
    /// Counts the questions of a batch; rows that name no cluster get `cluster`.
    pub(crate) fn add(&mut self, batch: &Batch, cluster: TextId, vocabulary: &Vocabulary, limits: &FoldLimits) {
        for row in batch.questions.iter().filter(|row| limits.asks_for(row.time)) {
            let Some(name) = batch.question_text.get(row.start as usize..row.end as usize) else { continue };
            let cluster = if row.cluster.is_none() { cluster } else { row.cluster };
            let asking = self.asked.entry((cluster, row.client, row.client_hint, row.domain)).or_default();
            asking.add(name, vocabulary.name_of(row.domain), Some(row.kind), row.is_missing, 1);
            asking.at(row.time);
        }
    }

    /// All counters, in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Asking)> {
        self.asked.iter()
    }

    /// Adds counters of one key.
    pub(super) fn add_asking(&mut self, key: Key, asking: Asking) {
        self.asked.entry(key).or_default().absorb(asking);
    }

    /// Adds what another worker counted.
    pub(crate) fn absorb(&mut self, other: Self, map: &VocabularyMap, cluster_of: impl Fn(TextId) -> TextId) {
        for ((cluster, client, hint, domain), asking) in other.asked {
            let key = (cluster_of(map.text(cluster)), map.address(client), map.endpoint(hint), map.name(domain));
            self.asked.entry(key).or_default().absorb(asking);
        }
    }

    /// Hands over the counters with cluster, pod and domain, in any order. Clients that are no known pod are left out.
    ///
    /// An address that was passed on within the time counts for the pod that had it when the last question came.
    pub fn each_of_pods(
        &self,
        vocabulary: &Vocabulary,
        parties: &Parties,
        mut take: impl FnMut(TextId, PartyId, NameId, &Asking),
    ) {
        for ((cluster, client, hint, domain), asking) in &self.asked {
            let last = asking.last.unwrap_or(Timestamp::UNKNOWN);
            let claimed = vocabulary
                .endpoint_of(*hint)
                .filter(|hint| hint.is_pod())
                .and_then(|hint| parties.by_claim(*cluster, hint))
                .filter(|claimed| parties.ever_at(*cluster, *client, *claimed));
            if let Some(party) = claimed.or_else(|| parties.at(*cluster, *client, last)) {
                take(*cluster, party, *domain, asking);
            }
        }
    }
}
