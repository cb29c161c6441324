//! `probe`: the manifest of the enforcement probe.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::Context;
use crate::error::ExitStatus;
use crate::policy::probe::{PROBE_IMAGE, Probe, ProbeForm};

/// Arguments of `probe`.
#[derive(Debug, Args)]
#[command(
    after_help = "The Job ends with 0 when the canary is blocked, with 1 and a loud warning when it is reachable, with 2 when it cannot tell. \
    Its flows carry its name, so that `soak` counts what is denied to it as proof of enforcement, and not as damage.\n\n\
    Examples:\n  egress-atlas probe --namespace shop | kubectl apply -f -\n  kubectl -n shop logs job/egress-atlas-probe\n  \
    egress-atlas probe --form helm-test > chart/templates/tests/egress.yaml"
)]
pub(super) struct ProbeArgs {
    /// The namespace; without it, `kubectl -n` or Helm decides.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Host that must not be reachable; empty disables the probe (sites without a way out).
    #[arg(long, value_name = "HOST", default_value = "1.1.1.1")]
    canary: String,
    /// TLS port of the canary.
    #[arg(long, value_name = "PORT", default_value_t = 443, value_parser = clap::value_parser!(u16).range(1..))]
    canary_port: u16,
    /// Name that DNS must answer before anything is concluded.
    #[arg(long, value_name = "NAME", default_value = "kubernetes.default.svc.cluster.local")]
    control_name: String,
    /// Something allowed that must accept a connection before anything is concluded.
    #[arg(long, value_name = "HOST:PORT")]
    control: Option<String>,
    /// Label for the pod, so that the policies of a workload govern it: `app.kubernetes.io/name=cart` (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Image with `nslookup` and curl 7.75 or later, pinned by digest; its user must be 100, or be made so.
    #[arg(long, value_name = "NAME@sha256:DIGEST", default_value = PROBE_IMAGE)]
    image: String,
    /// How it will be run.
    #[arg(long, value_enum, default_value = "job")]
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Job,
    HelmTest,
}

pub(super) fn run(args: &ProbeArgs, context: &mut Context<'_>) -> anyhow::Result<ExitStatus> {
    if args.canary.is_empty() {
        writeln!(context.out, "# The enforcement probe is disabled: there is no canary.")?;
        return Ok(ExitStatus::Good);
    }
    let mut labels = Vec::new();
    for label in &args.label {
        let Some((key, value)) = label.split_once('=') else {
            bail!("--label `{label}`: write KEY=VALUE");
        };
        labels.push((key.to_owned(), value.to_owned()));
    }
    let probe = Probe {
        namespace: args.namespace.clone(),
        canary: args.canary.clone(),
        port: args.canary_port,
        control_name: args.control_name.clone(),
        control: args.control.clone(),
        labels,
        image: args.image.clone(),
        form: match args.form {
            Form::Job => ProbeForm::Job,
            Form::HelmTest => ProbeForm::HelmTest,
        },
    };
    write!(context.out, "{}", probe.manifest().context("probe")?)?;
    Ok(ExitStatus::Good)
}
