//! What happens when, and the commands that find it out. Tables only; [`super::stage`] plays them.
//!
//! Times are minutes since Monday, 2026-03-02, 00:00 UTC.

const HOUR: i64 = 60;
/// Minutes of a day.
pub(super) const DAY: i64 = 24 * HOUR;

/// What was recorded, week by week: name of the files, first minute, end.
pub(super) const RECORDED: [(&str, i64, i64); 4] = [
    ("week-10", 0, 7 * DAY),
    ("week-11", 7 * DAY, 12 * DAY + 10 * HOUR),
    ("week-12", 14 * DAY, 18 * DAY + 11 * HOUR),
    ("week-16", 42 * DAY, 49 * DAY),
];

/// Second version of the staging policies: it knows the bank.
const MENDED: i64 = 10 * DAY + 9 * HOUR;

/// When policies of a namespace are in force: namespace, first minute, end.
const IN_FORCE: [(&str, i64, i64); 4] = [
    ("orders-staging", 7 * DAY + 9 * HOUR, 9 * DAY + 10 * HOUR),
    ("orders-staging", MENDED, i64::MAX),
    ("reports", 14 * DAY + 9 * HOUR, i64::MAX),
    ("orders", 16 * DAY + 10 * HOUR, i64::MAX),
];

/// Whether policies govern the pods of `namespace`.
pub(super) fn governs(namespace: &str, minute: i64) -> bool {
    IN_FORCE.iter().any(|(own, from, until)| *own == namespace && (*from..*until).contains(&minute))
}

/// Which version of the policies lets it through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// The first one.
    First,
    /// The one that was made after the bank had been missed.
    Second,
    /// None.
    Never,
}

impl Allowed {
    /// Whether policies that govern at `minute` stop it.
    pub(super) const fn is_stopped(self, minute: i64) -> bool {
        match self {
            Self::First => false,
            Self::Second => minute < MENDED,
            Self::Never => true,
        }
    }
}

/// Where a habit leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// A name of the outside world.
    Name(&'static str),
    /// A service of the cluster, by namespace and name.
    Service(&'static str, &'static str),
    /// An address that nobody looked up.
    Address([u8; 4]),
}

/// When of the day and of the week a habit is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hours {
    /// Always.
    All,
    /// From eight to six, Monday to Friday.
    Office,
}

impl Hours {
    pub(super) const fn hold(self, minute: i64) -> bool {
        match self {
            Self::All => true,
            Self::Office => (minute / DAY) % 7 < 5 && (minute % DAY) / HOUR >= 8 && (minute % DAY) / HOUR < 18,
        }
    }
}

/// Something that a workload does again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habit {
    pub(super) namespace: &'static str,
    pub(super) who: &'static str,
    pub(super) target: Target,
    pub(super) port: u16,
    /// First minute and minutes between times.
    pub(super) first: i64,
    pub(super) every: i64,
    /// End; exclusive.
    pub(super) until: i64,
    pub(super) hours: Hours,
    pub(super) allowed: Allowed,
}

const fn habit(place: [&'static str; 2], target: Target, port: u16, [first, every]: [i64; 2]) -> Habit {
    let [namespace, who] = place;
    Habit { namespace, who, target, port, first, every, until: 49 * DAY, hours: Hours::All, allowed: Allowed::First }
}

impl Habit {
    const fn until(mut self, minute: i64) -> Self {
        self.until = minute;
        self
    }

    const fn in_office_hours(mut self) -> Self {
        self.hours = Hours::Office;
        self
    }

    const fn never_allowed(mut self) -> Self {
        self.allowed = Allowed::Never;
        self
    }
}

/// From here on runs the release of April: no more crash reports, and somebody's debugging aid.
const APRIL: i64 = 42 * DAY;

use Target::{Address, Name, Service};

/// All weeks.
pub(super) const HABITS: &[Habit] = &[
    habit(["orders-staging", "storefront"], Service("orders-staging", "orders-api"), 8443, [3, 120]),
    habit(["orders-staging", "storefront"], Name("o450777.ingest.sentry.io"), 443, [17, 240]).until(APRIL),
    habit(["orders-staging", "orders-api"], Name("api.stripe.com"), 443, [31, 120]),
    habit(["orders", "storefront"], Service("orders", "orders-api"), 8443, [8, 60]),
    habit(["orders", "storefront"], Name("o450777.ingest.sentry.io"), 443, [22, 180]).until(APRIL),
    habit(["orders", "storefront"], Name("webhook.site"), 443, [44 * DAY + 11 * HOUR, 8 * HOUR]).never_allowed(),
    habit(["orders", "orders-api"], Name("api.stripe.com"), 443, [37, 60]),
    habit(["orders", "orders-api"], Name("fx.rates.example.org"), 443, [50, 120]).in_office_hours(),
    habit(["reports", "exporter"], Name("reports-nightly.s3.eu-central-1.amazonaws.com"), 443, [12, 120]),
    habit(["reports", "exporter"], Service("orders", "orders-api"), 8443, [55, 240]),
];

/// One run of a job: its pod lives for the one connection, or for the attempts that a denial costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) namespace: &'static str,
    pub(super) who: &'static str,
    pub(super) minute: i64,
    pub(super) target: Target,
    pub(super) port: u16,
    pub(super) allowed: Allowed,
    /// Pods that are started one after the other when the first is stopped.
    pub(super) attempts: i64,
}

const fn settlement(namespace: &'static str, minute: i64) -> Run {
    let target = Name("sftp.nordbank.example.net");
    Run { namespace, who: "settlement", minute, target, port: 22, allowed: Allowed::Second, attempts: 3 }
}

const fn probe(minute: i64) -> Run {
    let target = Address([1, 1, 1, 1]);
    let who = "egress-atlas-probe";
    Run { namespace: "orders-staging", who, minute, target, port: 443, allowed: Allowed::Never, attempts: 1 }
}

/// All runs.
pub(super) const RUNS: &[Run] = &[
    probe(7 * DAY + 9 * HOUR + 6),
    settlement("orders-staging", 8 * DAY + 4 * HOUR),
    settlement("orders", 8 * DAY + 4 * HOUR),
    // By hand, after the policies were rolled back, so that the baseline learns what the job needs.
    settlement("orders-staging", 9 * DAY + 11 * HOUR),
    probe(10 * DAY + 9 * HOUR + 6),
    // By hand, under the mended policies.
    settlement("orders-staging", 10 * DAY + 10 * HOUR),
];

/// One command of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoryStep {
    /// What it is for.
    pub title: &'static str,
    /// What to type in the folder of the story; `> FILE` keeps the answer.
    pub command: &'static str,
    /// The exit status that it ends with.
    pub status: u8,
}

const fn step(title: &'static str, command: &'static str, status: u8) -> StoryStep {
    StoryStep { title, command, status }
}

/// The story, in its order.
pub const STORY_STEPS: &[StoryStep] = &[
    step(
        "A week of baseline",
        "egress-atlas discover --flows flows/week-10.log --dns dns/week-10.fstrm --kube kube.json --since 2026-03-02T00:00:00Z --until 2026-03-09T00:00:00Z --out discovery",
        0,
    ),
    step(
        "The owner's decision",
        "egress-atlas review approve reports-nightly.s3.eu-central-1.amazonaws.com --namespace reports --owner team-reports --reason 'nightly files, sent by a timer' --expires never --baseline discovery",
        0,
    ),
    step("Drafts", "egress-atlas draft --baseline discovery --dialect cilium --kube kube.json --out drafts", 0),
    step(
        "Replay: would anything that was recorded break?",
        "egress-atlas replay --policies drafts --flows flows/week-10.log --dns dns/week-10.fstrm --kube kube.json > replay.txt",
        0,
    ),
    step(
        "The plan and the runbook",
        "egress-atlas plan --baseline discovery --policies drafts --kube kube.json --runbook runbook.md > plan.md",
        0,
    ),
    step(
        "Step 1, staging: the gate after 48 hours",
        "egress-atlas soak --policies drafts/orders-staging --since 2026-03-09T09:00:00Z --for 48h --flows flows/week-10.log --flows flows/week-11.log --dns dns/week-10.fstrm --dns dns/week-11.fstrm --kube kube.json --baseline discovery > soak-1.txt",
        1,
    ),
    step(
        "Mended: the baseline learns what the job needs",
        "egress-atlas discover --flows flows/week-10.log --flows flows/week-11.log --dns dns/week-10.fstrm --dns dns/week-11.fstrm --kube kube.json --since 2026-03-02T00:00:00Z --until 2026-03-11T14:00:00Z --out discovery-2",
        0,
    ),
    step(
        "Drafts again",
        "egress-atlas draft --baseline discovery-2 --dialect cilium --kube kube.json --out drafts-2",
        0,
    ),
    step(
        "Replay again, with the days of the failure in it",
        "egress-atlas replay --policies drafts-2 --flows flows/week-10.log --flows flows/week-11.log --dns dns/week-10.fstrm --dns dns/week-11.fstrm --kube kube.json --until 2026-03-11T14:00:00Z > replay-2.txt",
        0,
    ),
    step(
        "Step 1 once more: the gate after 48 hours",
        "egress-atlas soak --policies drafts-2/orders-staging --since 2026-03-12T09:00:00Z --for 48h --flows flows/week-10.log --flows flows/week-11.log --dns dns/week-10.fstrm --dns dns/week-11.fstrm --kube kube.json --baseline discovery-2 > soak-2.txt",
        0,
    ),
    step(
        "Step 2, one production namespace",
        "egress-atlas soak --policies drafts-2/reports --since 2026-03-16T09:00:00Z --for 48h --flows flows --dns dns --kube kube.json --baseline discovery-2 > soak-3.txt",
        0,
    ),
    step(
        "Step 3, the rest",
        "egress-atlas soak --policies drafts-2/orders --since 2026-03-18T10:00:00Z --for 48h --flows flows --dns dns --kube kube.json --baseline discovery-2 > soak-4.txt",
        0,
    ),
    step(
        "A month later: drift",
        "egress-atlas drift --baseline discovery-2 --flows flows/week-16.log --dns dns/week-16.fstrm --kube kube.json --since 2026-04-13T00:00:00Z --until 2026-04-20T00:00:00Z --format markdown > drift.md",
        1,
    ),
    step(
        "Evidence for the auditors: a week under all policies",
        "egress-atlas soak --policies drafts-2 --since 2026-04-13T00:00:00Z --for 167h --flows flows --dns dns --kube kube.json --format json > soak-april.json",
        1,
    ),
    step(
        "Evidence for the auditors: which rules are needed",
        "egress-atlas replay --policies drafts-2 --flows flows/week-16.log --dns dns/week-16.fstrm --kube kube.json --format json > replay-april.json",
        0,
    ),
    step(
        "Evidence for the auditors: control by control",
        "egress-atlas audit --policies drafts-2 --kube kube.json --baseline discovery-2 --evidence soak-april.json --evidence replay-april.json --compliance compliance.md > audit.txt",
        0,
    ),
];
