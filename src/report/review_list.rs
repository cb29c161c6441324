//! The owner gate as a list: what is open, what was decided, what has run out, and where each is in use.
//!
//! In: the reviews, a baseline if there is one, and the day. Out: rows, the most urgent first, and their text for a terminal, Markdown
//! or columns. A destination of the baseline is listed once for each namespace. Nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use super::escape::{code, identifier, prose};
use super::json::{AtlasDocument, EdgeDocument, PeerDocument};
use super::paint::Paint;
use super::readiness::hanging;
use super::table::Table;
use super::tables::{Column, Columns};
use super::wording::{counted, list, size};
use crate::catalog::{Date, Decision, Pattern, Review, ReviewState, Reviewed, Reviews};
use crate::model::Severity;
use crate::model::columns::REVIEWS;

/// Version of the JSON form.
pub const REVIEW_LIST_SCHEMA: &str = "egress-atlas-reviews/1";

/// Where a destination stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewStanding {
    /// Nobody decided, and the baseline has open findings about it.
    Pending,
    /// A decision whose time is over.
    Expired,
    /// Rejected.
    Rejected,
    /// Approved.
    Approved,
}

impl ReviewStanding {
    /// The word used in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Approved => "approved",
        }
    }
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewRow {
    /// Where it stands today.
    pub state: ReviewStanding,
    /// The destination: as decided, or as seen where nobody decided.
    pub destination: String,
    /// The cluster; null for all.
    pub cluster: Option<String>,
    /// The namespace; null for all.
    pub namespace: Option<String>,
    /// Who decided.
    pub owner: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The last day of the decision; null when it does not end.
    pub expires: Option<String>,
    /// The worst open finding in the baseline.
    pub severity: Option<Severity>,
    /// Classes of suspicion in the baseline.
    pub classes: BTreeSet<String>,
    /// The class of the worst open finding, the first of equals: what a line has room for.
    #[serde(skip)]
    pub worst: Option<String>,
    /// Workloads of the baseline that talk to it, `cluster:namespace/Kind/name`; null without a baseline.
    pub in_use: Option<BTreeSet<String>>,
}

/// The whole list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewList {
    /// [`REVIEW_LIST_SCHEMA`].
    pub schema: &'static str,
    /// The day that decides what has expired.
    pub day: String,
    /// The most urgent first.
    pub reviews: Vec<ReviewRow>,
}

/// One edge of egress to the outside, with where it begins.
struct Use<'a> {
    cluster: &'a str,
    namespace: &'a str,
    edge: &'a EdgeDocument,
    name: Option<&'a str>,
    address: Option<IpAddr>,
}

impl Use<'_> {
    fn destination(&self) -> Option<Reviewed<'_>> {
        self.name.map(Reviewed::Name).or(self.address.map(Reviewed::Address))
    }

    fn text(&self) -> String {
        self.name.map(ToString::to_string).or(self.address.map(|address| address.to_string())).unwrap_or_default()
    }

    fn workload(&self) -> String {
        let workload = &self.edge.workload;
        format!("{}:{}/{}/{}", self.cluster, self.namespace, workload.kind, workload.name)
    }

    fn open_findings(&self) -> impl Iterator<Item = (Severity, &str)> {
        let findings = self.edge.judgement.iter().flat_map(|judgement| &judgement.findings);
        findings.filter(|finding| finding.exempted.is_none()).map(|finding| (finding.severity, finding.class.as_str()))
    }
}

fn uses(baseline: &AtlasDocument) -> impl Iterator<Item = Use<'_>> {
    baseline.clusters.iter().flat_map(|(cluster, content)| {
        content.namespaces.iter().flat_map(move |(namespace, content)| {
            content.egress.iter().filter_map(move |edge| {
                let (name, address) = match &edge.peer {
                    PeerDocument::Name { name } => (Some(name.as_str()), None),
                    PeerDocument::Address { address } => (None, Some(address.parse().ok()?)),
                    _ => return None,
                };
                Some(Use { cluster, namespace, edge, name, address })
            })
        })
    })
}

/// Lists every decision, and every open suspect of the baseline that nobody decided.
pub fn review_list(reviews: &Reviews, baseline: Option<&AtlasDocument>, day: Date) -> ReviewList {
    let mut rows: Vec<ReviewRow> =
        reviews.all().iter().map(|review| decided(review, baseline.is_some(), day)).collect();
    let mut pending: BTreeMap<(String, String, String), ReviewRow> = BTreeMap::new();
    for used in baseline.into_iter().flat_map(uses) {
        let Some(destination) = used.destination() else { continue };
        let state = reviews.state(used.cluster, used.namespace, destination, day);
        let row = match state {
            ReviewState::Approved(by) | ReviewState::Rejected(by) | ReviewState::Expired(by) => {
                let number = reviews.all().iter().position(|review| std::ptr::eq(review, by));
                number.and_then(|number| rows.get_mut(number))
            }
            ReviewState::Pending if used.open_findings().next().is_some() => {
                let key = (used.text(), used.cluster.to_owned(), used.namespace.to_owned());
                Some(pending.entry(key).or_insert_with(|| undecided(&used)))
            }
            ReviewState::Pending => None,
        };
        let Some(row) = row else { continue };
        row.in_use.get_or_insert_default().insert(used.workload());
        for (severity, class) in used.open_findings() {
            let is_first = row.severity == Some(severity) && row.worst.as_deref().is_none_or(|worst| class < worst);
            if row.severity < Some(severity) || is_first {
                row.worst = Some(class.to_owned());
            }
            row.severity = row.severity.max(Some(severity));
            row.classes.insert(class.to_owned());
        }
    }
    rows.extend(pending.into_values());
    rows.sort_by(|one, two| {
        let key = |row: &ReviewRow| (row.state, std::cmp::Reverse(row.severity));
        let name = |row: &ReviewRow| (row.destination.clone(), row.cluster.clone(), row.namespace.clone());
        key(one).cmp(&key(two)).then_with(|| name(one).cmp(&name(two)))
    });
    ReviewList { schema: REVIEW_LIST_SCHEMA, day: day.to_string(), reviews: rows }
}

fn decided(review: &Review, has_baseline: bool, day: Date) -> ReviewRow {
    let state = match review.decision {
        _ if review.expires.is_some_and(|expires| expires < day) => ReviewStanding::Expired,
        Decision::Approved => ReviewStanding::Approved,
        Decision::Rejected => ReviewStanding::Rejected,
    };
    ReviewRow {
        state,
        destination: review.destination.to_string(),
        cluster: review.cluster.as_deref().map(Into::into),
        namespace: review.namespace.as_deref().map(Into::into),
        owner: Some(review.owner.to_string()),
        reason: Some(review.reason.to_string()),
        expires: review.expires.map(|day| day.to_string()),
        severity: None,
        classes: BTreeSet::new(),
        worst: None,
        in_use: has_baseline.then(BTreeSet::new),
    }
}

fn undecided(used: &Use<'_>) -> ReviewRow {
    ReviewRow {
        state: ReviewStanding::Pending,
        destination: used.text(),
        cluster: Some(used.cluster.to_owned()),
        namespace: Some(used.namespace.to_owned()),
        owner: None,
        reason: None,
        expires: None,
        severity: None,
        classes: BTreeSet::new(),
        worst: None,
        in_use: Some(BTreeSet::new()),
    }
}

/// What a baseline knows of a destination that is about to be decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationUse {
    /// Workloads that talk to it.
    pub workloads: BTreeSet<String>,
    /// The worst open finding about it.
    pub severity: Option<Severity>,
    /// When nobody talks to it: the destinations of the baseline that look most like it.
    pub nearest: Vec<String>,
    /// Workloads of other places that talk to it.
    pub elsewhere: BTreeSet<String>,
    /// Whether the baseline has no namespace of the given name.
    pub namespace_is_unknown: bool,
    /// Then the namespaces that look most like it.
    pub nearest_namespaces: Vec<String>,
}

/// Looks a destination up in a baseline, within a cluster and a namespace where they are given.
pub fn destination_use(
    baseline: &AtlasDocument,
    pattern: &Pattern,
    cluster: Option<&str>,
    namespace: Option<&str>,
) -> DestinationUse {
    let mut found = DestinationUse::default();
    let mut others = BTreeSet::new();
    for used in uses(baseline) {
        let meant = used.name.is_some_and(|name| pattern.matches_name(name))
            || used.address.is_some_and(|address| pattern.matches_address(address));
        let in_scope =
            cluster.is_none_or(|own| own == used.cluster) && namespace.is_none_or(|own| own == used.namespace);
        if meant && in_scope {
            found.workloads.insert(used.workload());
            found.severity = found.severity.max(used.open_findings().map(|(severity, _)| severity).max());
        } else if meant {
            found.elsewhere.insert(used.workload());
        } else {
            others.insert(used.text());
        }
    }
    found.namespace_is_unknown = namespace.is_some_and(|name| {
        let mut clusters = baseline.clusters.iter().filter(|(own, _)| cluster.is_none_or(|cluster| cluster == *own));
        !clusters.any(|(_, content)| content.namespaces.contains_key(name))
    });
    if let Some(name) = namespace.filter(|_| found.namespace_is_unknown) {
        let all = baseline.clusters.values().flat_map(|content| content.namespaces.keys()).map(String::as_str);
        found.nearest_namespaces = super::nearest::nearest(name, all.collect::<BTreeSet<_>>().into_iter(), 3);
    }
    if found.workloads.is_empty() {
        found.nearest = super::nearest::nearest(&pattern.to_string(), others.iter().map(String::as_str), 3);
    }
    found
}

const HEADER: [&str; 7] = ["STATE", "!DESTINATION", "WHERE", "OWNER", "EXPIRES", "SUSPECT", "IN USE BY"];

/// The list for a terminal of `width` columns.
pub fn review_list_text(found: &ReviewList, width: u16, paint: Paint) -> String {
    if found.reviews.is_empty() {
        return "No review, and no open suspect.\n".to_owned();
    }
    let mut table = Table::new(&HEADER);
    for row in &found.reviews {
        table.row(cells(row, identifier));
    }
    let text = table.to_terminal(usize::from(width), |row, column, cell| {
        let Some(row) = row.and_then(|row| found.reviews.get(row)) else { return paint.strong(cell) };
        match (column, row.severity) {
            (0, _) => match row.state {
                ReviewStanding::Pending | ReviewStanding::Expired => paint.warn(cell),
                ReviewStanding::Rejected => paint.bad(cell),
                ReviewStanding::Approved => paint.good(cell),
            },
            (5, Some(severity)) => paint.severity(severity, cell),
            _ => cell.to_owned(),
        }
    });
    format!("{text}\n{}", hanging("", &totals(found), usize::from(width)))
}

/// How many there are of each state, in a sentence.
fn totals(found: &ReviewList) -> String {
    let number = |state| size(found.reviews.iter().filter(|row| row.state == state).count());
    let rejected_in_use = found
        .reviews
        .iter()
        .filter(|row| row.state == ReviewStanding::Rejected && row.in_use.as_ref().is_some_and(|uses| !uses.is_empty()))
        .count();
    let rejected = match rejected_in_use {
        0 => format!("{} rejected", number(ReviewStanding::Rejected)),
        some => format!("{} rejected ({some} still in use)", number(ReviewStanding::Rejected)),
    };
    format!(
        "{}: {} pending, {} expired, {rejected}, {} approved, as of {}.",
        counted(size(found.reviews.len()), "destination"),
        number(ReviewStanding::Pending),
        number(ReviewStanding::Expired),
        number(ReviewStanding::Approved),
        found.day
    )
}

/// The list as a Markdown table.
pub fn review_list_markdown(found: &ReviewList) -> String {
    let mut table =
        Table::new(&["State", "Destination", "Where", "Owner", "Expires", "Suspect", "In use by", "Reason"]);
    for row in &found.reviews {
        let reason = row.reason.as_deref().map_or_else(|| "-".to_owned(), prose);
        table.row(cells(row, code).into_iter().chain([reason]));
    }
    if table.is_empty() { "No review, and no open suspect.\n".to_owned() } else { table.to_markdown() }
}

fn cells(row: &ReviewRow, show: impl Fn(&str) -> String) -> [String; 7] {
    let shown = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), &show);
    let place = match (&row.cluster, &row.namespace) {
        (None, None) => "everywhere".to_owned(),
        (cluster, namespace) => {
            let cluster = cluster.as_ref().map(|cluster| format!("{cluster}:")).unwrap_or_default();
            let namespace = namespace.as_deref().map(|name| if name.is_empty() { "(no namespace)" } else { name });
            show(&format!("{cluster}{}", namespace.unwrap_or("*")))
        }
    };
    let in_use = match &row.in_use {
        None => "?".to_owned(),
        Some(uses) if uses.is_empty() => "nobody".to_owned(),
        Some(uses) => {
            // What the column before says already is not said again.
            let short = |workload: &String| match row.namespace {
                Some(_) => show(workload.rsplit('/').next().unwrap_or(workload)),
                None => show(workload.split_once(':').map_or(workload, |(_, rest)| rest)),
            };
            list(uses.iter().map(short).collect::<BTreeSet<_>>(), 2)
        }
    };
    let class = row.worst.as_deref().map(&show).unwrap_or_default();
    let others = if row.classes.len() > 1 { format!(" +{}", row.classes.len() - 1) } else { String::new() };
    let suspect = row.severity.map_or_else(|| "-".to_owned(), |severity| format!("{severity} {class}{others}"));
    [
        row.state.as_str().to_owned(),
        show(&row.destination),
        place,
        shown(&row.owner),
        row.expires.clone().unwrap_or_else(|| if row.owner.is_some() { "never".to_owned() } else { "-".to_owned() }),
        suspect,
        in_use,
    ]
}

/// The list as columns, for CSV.
pub fn review_columns(found: &ReviewList) -> Columns {
    let text = |value: &dyn Fn(&ReviewRow) -> String| Column::Text(found.reviews.iter().map(value).collect());
    let texts = |value: &dyn Fn(&ReviewRow) -> Vec<String>| Column::Texts(found.reviews.iter().map(value).collect());
    let values = [
        text(&|row| row.state.as_str().to_owned()),
        text(&|row| row.destination.clone()),
        text(&|row| row.cluster.clone().unwrap_or_else(|| "*".to_owned())),
        text(&|row| row.namespace.clone().unwrap_or_else(|| "*".to_owned())),
        text(&|row| row.owner.clone().unwrap_or_default()),
        text(&|row| row.expires.clone().unwrap_or_default()),
        text(&|row| row.severity.map(|severity| severity.to_string()).unwrap_or_default()),
        texts(&|row| row.classes.iter().cloned().collect()),
        texts(&|row| row.in_use.iter().flatten().cloned().collect()),
        text(&|row| row.reason.clone().unwrap_or_default()),
    ];
    REVIEWS.into_iter().zip(values).collect()
}
