//! Which names are guesses: connections to the outside by grade of evidence, in words and as a table.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::table::Table;
use super::super::wording::{count, counted, share};
use crate::model::Grade;

/// What a grade means, in the words of the appendix.
pub(super) const fn meaning(grade: Grade) -> &'static str {
    match grade {
        Grade::Pod => "an answer to this very pod, inside the window, one candidate",
        Grade::PodAmbiguous => "the same, several candidates",
        Grade::PodStale => "an answer to this very pod, older than the window",
        Grade::PodLater => "an answer to this very pod, recorded only after the flow began",
        Grade::Workload => "an answer to another pod of the same workload",
        Grade::Node => "an answer to the pod's node",
        Grade::Cluster => "an answer to anyone else in the cluster",
        Grade::Reported => "the flow record names it, no DNS answer confirms it",
        Grade::None => "nothing: known by address only",
    }
}

/// Writes the section.
pub(super) fn write(document: &mut Document, digest: &Digest<'_>) {
    document.heading(2, "Which names are guesses");
    let counts = &digest.counts;
    let all = counts.outside_connections;
    if all == 0 {
        document.paragraph("No connection left the cluster, so no name had to be found.");
        return;
    }
    let ambiguous = counts.graded(&[Grade::PodAmbiguous]);
    let others = counts.graded(&[Grade::Workload, Grade::Node, Grade::Cluster, Grade::Reported]);
    document.paragraph(&format!(
        "{} to destinations outside the cluster. For {} the pod itself asked for a name of the address{}; \
         for {} the name rests on somebody else's answer or on the flow record alone; {} have no name.",
        counted(all, "connection"),
        share(counts.own_pod(), all),
        if ambiguous > 0 {
            format!(" (for {} of all it asked for several)", share(ambiguous, all))
        } else {
            String::new()
        },
        share(others, all),
        share(counts.graded(&[Grade::None]), all),
    ));
    let mut table = Table::new(&["Grade", "#Connections", "#Share", "The name comes from"]);
    for grade in Grade::ALL {
        let connections = counts.graded(&[grade]);
        if connections > 0 {
            table.row([format!("`{grade}`"), count(connections), share(connections, all), meaning(grade).to_owned()]);
        }
    }
    document.table(&table);
}
