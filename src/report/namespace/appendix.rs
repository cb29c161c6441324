//! How to read the grades.

use super::super::digest::Digest;
use super::super::document::Document;
use super::super::table::Table;
use super::evidence::meaning;
use crate::model::Grade;

/// What a reviewer should do with a name of this grade.
const fn advice(grade: Grade) -> &'static str {
    match grade {
        Grade::Pod => "Take it.",
        Grade::PodAmbiguous => "Compare with the other candidates: any of them may be the one.",
        Grade::PodStale => "Likely: the pod held on to an old answer.",
        Grade::PodLater => "Likely: the first answer was cached before recording began.",
        Grade::Workload => "Likely, when all pods of the workload run the same code.",
        Grade::Node => "Possible: any pod of the node may have asked.",
        Grade::Cluster => "A guess: shared addresses serve many names.",
        Grade::Reported => "As good as the network plugin's own table of names.",
        Grade::None => "Ask the owner.",
    }
}

/// Writes the appendix.
pub(super) fn write(document: &mut Document, _: &Digest<'_>) {
    document.heading(2, "How to read this document");
    document.paragraph(
        "A connection counts once, however many records tell of it. The number after a grade is the mean confidence in \
         the chosen name, from 0 to 1. `identity` instead of a grade means that the flow record itself identifies the peer \
         inside the cluster, so no name is needed. Days are days with traffic of days with flow records.",
    );
    let mut table = Table::new(&["Grade", "The name comes from", "How to take it"]);
    for grade in Grade::ALL {
        table.row([format!("`{grade}`"), meaning(grade).to_owned(), advice(grade).to_owned()]);
    }
    document.table(&table);
}
