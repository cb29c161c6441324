//! The weeks of one rollout, from the baseline to the drift of a month later, made when they are asked for.
//!
//! In: nothing. Out: named byte files, always the same, and the commands that tell the story on them. What the policies stop is
//! in the script; that the drafts of the story stop just that is for `soak` to find out, and nothing here asks it.

mod cast;
mod files;
mod script;
mod stage;

pub use script::{STORY_STEPS, StoryStep};

use super::DemoFile;

/// Makes the inputs of the story.
pub fn story() -> Vec<DemoFile> {
    let text = |name: &str, content: &str| DemoFile { name: name.to_owned(), bytes: content.as_bytes().to_vec() };
    let mut all = vec![text("egress-atlas.toml", include_str!("egress-atlas.toml"))];
    let mut stage = stage::Stage::new();
    stage.play();
    all.extend(files::files(stage));
    all
}
