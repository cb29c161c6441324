//! What the demo's workloads do all day, as a table.
//!
//! Tables only; [`super::stage`] plays them.

use crate::simulate::connection::Fate;

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

/// How the client asks for the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// The name alone.
    Plain,
    /// With every search suffix first (`ndots:5`).
    Search,
    /// The resolver's autopath answers the first suffixed question.
    Autopath,
    /// Not again: the address is remembered from the first time.
    Once,
}

/// Something that a workload does again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habit {
    pub(super) who: &'static str,
    pub(super) target: Target,
    pub(super) port: u16,
    pub(super) is_tcp: bool,
    /// Minutes after midnight of the first time.
    pub(super) first: i64,
    /// Minutes between times.
    pub(super) every: i64,
    /// How many times at most.
    pub(super) times: i64,
    pub(super) asking: Asking,
    /// Seconds that a connection lasts.
    pub(super) seconds: i64,
    /// Seconds between bursts of data.
    pub(super) data_every: i64,
    pub(super) fate: Fate,
    /// Connects over IPv6 although it asks over IPv4.
    pub(super) over_v6: bool,
    /// Comes as regularly as a timer.
    pub(super) is_regular: bool,
    /// Only in this cluster; empty for both.
    pub(super) cluster: &'static str,
}

const fn habit(who: &'static str, target: Target, port: u16, [first, every]: [i64; 2], asking: Asking) -> Habit {
    Habit {
        who,
        target,
        port,
        is_tcp: true,
        first,
        every,
        times: 1_000,
        asking,
        seconds: 2,
        data_every: 5,
        fate: Fate::Allowed,
        over_v6: false,
        is_regular: false,
        cluster: "",
    }
}

impl Habit {
    const fn times(mut self, times: i64) -> Self {
        self.times = times;
        self
    }

    const fn lasting(mut self, seconds: i64, data_every: i64) -> Self {
        self.seconds = seconds;
        self.data_every = data_every;
        self
    }

    const fn with_fate(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }

    const fn over_v6(mut self) -> Self {
        self.over_v6 = true;
        self
    }

    const fn regular(mut self) -> Self {
        self.is_regular = true;
        self
    }

    const fn udp(mut self) -> Self {
        self.is_tcp = false;
        self
    }

    const fn only_in(mut self, cluster: &'static str) -> Self {
        self.cluster = cluster;
        self
    }
}

use crate::model::Direction;
use Asking::{Autopath, Once, Plain, Search};
use Target::{Address, Name, Service};

/// The day.
pub(super) const HABITS: &[Habit] = &[
    habit("storefront", Service("shop", "cart"), 8080, [4, 180], Plain),
    habit("storefront", Service("shop", "search"), 9200, [9, 180], Plain),
    habit("storefront", Name("o450777.ingest.sentry.io"), 443, [13, 240], Plain).over_v6(),
    habit("storefront", Name("assets.shop.example.com"), 443, [21, 240], Plain),
    habit("storefront", Name("media.shop.example.com"), 443, [22, 360], Plain),
    habit("search", Name("assets.shop.example.com"), 443, [37, 360], Search),
    habit("search", Address([93, 184, 216, 77]), 8443, [50, 240], Plain),
    habit("search", Name("stock-cam.ddns.net"), 8080, [3, 40], Once).regular().only_in("prod-eu"),
    habit("search", Address([10, 200, 9, 30]), 9092, [95, 300], Plain).lasting(12, 5),
    habit("cart", Service("payments", "charges-api"), 8443, [5, 360], Search),
    habit("cart", Address([169, 254, 169, 254]), 80, [127, 420], Plain).only_in("prod-us"),
    habit("charges-api", Name("api.stripe.com"), 443, [6, 160], Plain).lasting(7, 5),
    habit("charges-api", Service("payments", "ledger"), 5432, [7, 240], Once).lasting(31, 10),
    habit("charges-api", Name("hooks.slack.com"), 443, [480, 600], Autopath),
    habit("settlement-worker", Name("sftp.nordbank.example.net"), 22, [60, 360], Plain).lasting(64, 15),
    habit("settlement-worker", Service("payments", "ledger"), 5432, [62, 360], Plain),
    habit("settlement-worker", Name("webhook.site"), 443, [615, 9], Plain).times(2).only_in("prod-eu"),
    habit("settlement-worker", Name("crm.vendor.example.org"), 443, [200, 480], Plain)
        .with_fate(Fate::Denied(Direction::Egress)),
    habit("settlement-worker", Name("fx.rates.example.org"), 443, [75, 240], Plain)
        .with_fate(Fate::Audited(Direction::Egress)),
    habit("ledger", Name("reports-nightly.s3.eu-central-1.amazonaws.com"), 443, [185, 720], Plain).lasting(40, 10),
    habit("cart", Service("payments", "ledger"), 5432, [330, 700], Plain).with_fate(Fate::Denied(Direction::Ingress)),
    habit("gateway", Service("shop", "storefront"), 8080, [2, 60], Once),
    habit("gateway", Service("payments", "charges-api"), 8443, [41, 360], Plain),
    habit("build-runner", Name("registry.npmjs.org"), 443, [17, 480], Search).lasting(11, 5),
    habit("build-runner", Name("files.pythonhosted.org"), 443, [33, 480], Search),
    habit("build-runner", Name("api.github.com"), 443, [12, 240], Plain),
    habit("build-runner", Name("git.corp.example.net"), 22, [44, 360], Plain),
    habit("build-runner", Name("a1b2c3d4.ngrok-free.app"), 443, [530, 55], Plain)
        .times(6)
        .lasting(900, 60)
        .only_in("prod-eu"),
    habit("build-runner", Name("pastebin.com"), 443, [541, 700], Plain).times(1),
    habit("build-runner", Address([8, 8, 8, 8]), 53, [700, 360], Plain).udp(),
    habit("telemetry-agent", Name("agent-intake.logs.datadoghq.com"), 443, [1, 180], Plain),
    habit("telemetry-agent", Name("trace.agent.datadoghq.com"), 443, [8, 1_000], Plain).times(1).lasting(21_600, 300),
    habit("telemetry-agent", Address([169, 254, 169, 254]), 80, [2, 360], Plain),
    habit("telemetry-agent", Name("0.pool.ntp.org"), 123, [29, 480], Plain).udp(),
];
