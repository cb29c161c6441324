//! The `egress-atlas` binary: parse, run, translate the outcome to an exit status.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use egress_atlas::cli::{Cli, Context, system_now};
use egress_atlas::error::ExitStatus;
use egress_atlas::report::Paint;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.color() {
        clap::ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        clap::ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
        clap::ColorChoice::Auto => {}
    }
    let (mut out, mut err) = (io::BufWriter::new(anstream::stdout()), anstream::stderr());
    let result = cli.run(&mut Context {
        out: &mut out,
        err: &mut err,
        quiet: cli.quiet(),
        verbose: cli.verbose(),
        progress: io::stderr().is_terminal() && !cli.quiet(),
        width: terminal_width(),
        paint: Paint(colours(cli.color())),
        now: system_now(),
    });
    let result = result.and_then(|status| out.flush().map(|()| status).map_err(Into::into));
    let status = match result {
        Ok(status) => status,
        // The reader of a pipe has gone: it has what it wanted.
        Err(error) if is_broken_pipe(&error) => ExitStatus::Good,
        Err(error) => {
            drop(writeln!(err, "error: {error:#}"));
            ExitStatus::Failed
        }
    };
    ExitCode::from(status.code())
}

/// Columns of the terminal that answers go to; a hundred where they go elsewhere.
fn terminal_width() -> u16 {
    let columns = |(terminal_size::Width(columns), _): (terminal_size::Width, terminal_size::Height)| columns;
    terminal_size::terminal_size_of(io::stdout()).map_or(100, columns).clamp(60, 200)
}

/// Whether answers are coloured: as asked, else on terminals that show colours and whose user did not set `NO_COLOR`.
fn colours(choice: clap::ColorChoice) -> bool {
    match choice {
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
        clap::ColorChoice::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
