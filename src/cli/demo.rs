//! `demo`.
use super::Context;
use crate::error::ExitStatus;
use clap::Args;
/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {}
pub(super) fn run(_args: &DemoArgs, _context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    Ok(ExitStatus::Good)
}
