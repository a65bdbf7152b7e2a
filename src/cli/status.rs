//! `status`: shows the health of the cluster.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use console::Term;

use super::next::is_new;
use super::open_run::{AccessMode, OpenRun, PartArgs};
use super::{Global, OutputFormat};
use crate::report;
use crate::report::Printer;
use crate::run::error::{Error, ExitStatus};
use crate::status::{ClusterStatus, Watch};

/// Show the health of the cluster; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs status
  clusterctl-rs status --watch
  clusterctl-rs status --exit-code --output json >status.json || mail -s 'cluster alert' ops

Shows each host with its roles, components and drift; Nodes that are not in the inventory; the
members of etcd; and the certificates that expire first. Drift is the number of changes that
`plan` would show. A host that does not respond is reported after a few seconds and does not
delay the others. Takes no lock and downloads nothing.

With --watch, connections stay open and drift is checked once a minute. Stop with Ctrl-C (exit
code 0).

With --output json, prints one object (with --watch, one per line); docs/status.md describes it.

Exit code: 0 even if the cluster is unhealthy. With --exit-code, 3 if anything is unhealthy,
unknown, differs from the inventory, or if a certificate expires soon.")]
pub(super) struct StatusArgs {
    /// The inventory
    file: Option<PathBuf>,
    /// Repeat every SECONDS seconds [default without a number: 5]
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    watch: Option<u32>,
    /// Exit with code 3 if anything is unhealthy or differs from the inventory
    #[arg(long, conflicts_with = "watch")]
    exit_code: bool,
}

impl StatusArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let opened = OpenRun::open(
            global,
            "status",
            self.file.as_ref(),
            &PartArgs::default(),
            AccessMode::Read,
        )?;
        let watch = Watch::new(&opened.run);
        let screen = Screen::new(global, self.watch.is_some());
        let Some(seconds) = self.watch else {
            let status = watch.query_cluster().await;
            screen.show(&status);
            if is_new(&opened.run.state) {
                global.say_next(&format!(
                    "run {}",
                    global.command("apply", self.file.as_ref())
                ));
            } else if status.drifted == Some(true) {
                global.say_next(&format!(
                    "run {}",
                    global.command("plan", self.file.as_ref())
                ));
            }
            let well = status.healthy && status.drifted == Some(false);
            return Ok(match self.exit_code && !well {
                true => ExitStatus::Changes,
                false => ExitStatus::Done,
            });
        };
        let pause = Duration::from_secs(seconds.into());
        let watching = async {
            loop {
                screen.show(&watch.query_cluster().await);
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = watching => Ok(ExitStatus::Done),
            () = crate::run::interrupt::interrupted() => Ok(ExitStatus::Done),
        }
    }
}

/// Where and how the status is shown.
struct Screen {
    printer: Printer,
    output: OutputFormat,
    /// Whether it is shown repeatedly.
    watch: bool,
    /// Whether it replaces the previous one on the screen.
    redraw: bool,
}

impl Screen {
    fn new(global: &Global, watch: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Screen {
            printer: global.printer(),
            output: global.output,
            watch,
            redraw: watch
                && global.output == OutputFormat::Text
                && std::io::stdout().is_terminal()
                && !dumb,
        }
    }

    fn show(&self, status: &ClusterStatus) {
        if self.output == OutputFormat::Json {
            let json = match self.watch {
                true => serde_json::to_string(status),
                false => serde_json::to_string_pretty(status),
            };
            // Serializing a struct of text and numbers cannot fail.
            return self.printer.json(&json.unwrap_or_default());
        }
        let text = report::status(status, self.printer.color_out);
        if self.redraw {
            let (rows, columns) = Term::stdout().size();
            self.printer
                .data(&draw_frame(&text, rows.into(), columns.into()));
        } else if self.watch {
            self.printer.out_coloured(&format!("{text}\n"));
        } else {
            self.printer.out_coloured(&text);
        }
    }
}

/// Draws `text` over what is on the terminal: each line is cut to its width and clears the
/// rest of the old one. The last line says how many lines do not fit.
fn draw_frame(text: &str, rows: usize, columns: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // The newline after the last line takes one row.
    let room = rows.saturating_sub(1).max(2);
    let shown = match lines.len() > room {
        true => room - 1,
        false => lines.len(),
    };
    let mut framed = String::from("\x1b[H");
    for line in &lines[..shown] {
        let line = console::truncate_str(line, columns, "…");
        framed.push_str(&format!("{line}\x1b[K\n"));
    }
    if shown < lines.len() {
        framed.push_str(&format!("… {} more lines\x1b[K\n", lines.len() - shown));
    }
    framed.pop();
    framed.push_str("\x1b[J");
    framed
}

#[cfg(test)]
mod tests {
    use super::draw_frame;

    #[test]
    fn a_frame_fits_the_terminal() {
        assert_eq!(
            draw_frame("ab\ncd", 10, 10),
            "\x1b[Hab\x1b[K\ncd\x1b[K\x1b[J"
        );
        assert_eq!(
            draw_frame("a\nb\nc\nd", 4, 10),
            "\x1b[Ha\x1b[K\nb\x1b[K\n… 2 more lines\x1b[K\x1b[J"
        );
        assert_eq!(draw_frame("abcdef", 4, 4), "\x1b[Habc…\x1b[K\x1b[J");
    }
}
