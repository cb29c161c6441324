//! The demo data set inside the binary: one day of two small clusters, made when it is asked for.
//!
//! In: nothing. Out: named byte files, always the same. Tells one story of everything that the program must notice:
//! shared CDN addresses, search suffixes, address reuse, suspect destinations, denied traffic, a gap.

mod cast;
mod files;
mod habits;
mod play;
mod stage;

/// One file of the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoFile {
    /// Relative path with `/`, such as `prod-eu/hubble/node-a.log`.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// The demo data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoData {
    /// Files, settings first, then cluster by cluster.
    pub files: Vec<DemoFile>,
}

/// Makes the demo data set.
pub fn demo() -> DemoData {
    let text = |name: &str, content: &str| DemoFile { name: name.to_owned(), bytes: content.as_bytes().to_vec() };
    let mut files = vec![
        text("egress-atlas.toml", include_str!("egress-atlas.toml")),
        text("reviews.toml", include_str!("reviews.toml")),
    ];
    for (cluster, seed) in [("prod-eu", 20_260_302), ("prod-us", 20_260_303)] {
        let mut stage = stage::Stage::new(cluster, seed);
        play::day(&mut stage);
        files.extend(files::files(stage));
    }
    DemoData { files }
}
