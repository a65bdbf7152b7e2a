//! `artifacts fetch`: fills the cache, or a directory, without connecting to a host.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::artifacts::{self, Set};
use crate::cli::load::load_inventory;
use crate::cli::{Global, OutputFormat};
use crate::inventory::Cluster;
use crate::run::error::{Error, ExitStatus};
use crate::run::events::Events;
use crate::{desired, kubernetes, report};

/// Download the binaries that the inventory needs, and verify them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs artifacts fetch
  clusterctl-rs artifacts fetch --out artifacts --arch amd64,arm64

Takes version, mirrors and checksums from the inventory. Prints the directory. With `--out`, it
can be named as `artifacts: {source: directory, path: DIR}`; files in it that are not replaced
stay. Images are not downloaded: those that the directory lacks are listed with how to add them.")]
pub(in crate::cli) struct FetchArgs {
    /// The inventory
    file: Option<PathBuf>,
    /// Directory to write to; created if missing [default: the cache]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Architectures of the hosts, comma-separated [default: this machine's]
    #[arg(long, value_name = "ARCH", value_delimiter = ',', value_enum)]
    arch: Vec<Architecture>,
}

/// Go's names of architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Architecture {
    Amd64,
    Arm64,
    Ppc64le,
    S390x,
}

impl Architecture {
    fn name(self) -> &'static str {
        match self {
            Architecture::Amd64 => "amd64",
            Architecture::Arm64 => "arm64",
            Architecture::Ppc64le => "ppc64le",
            Architecture::S390x => "s390x",
        }
    }

    fn of_this_machine() -> Result<Self, Error> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Architecture::Amd64),
            "aarch64" => Ok(Architecture::Arm64),
            "powerpc64" => Ok(Architecture::Ppc64le),
            "s390x" => Ok(Architecture::S390x),
            other => Err(Error::Usage {
                message: format!("Kubernetes is not published for {other}"),
                hint: Some("name the hosts' architecture with `--arch`".into()),
            }),
        }
    }
}

impl FetchArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let printer = global.printer();
        let cluster = load_inventory(&global.inventory(self.file.as_ref()), printer)?;
        let mut architectures: BTreeSet<String> = self
            .arch
            .iter()
            .map(|arch| arch.name().to_owned())
            .collect();
        if architectures.is_empty() {
            architectures.insert(Architecture::of_this_machine()?.name().to_owned());
        }
        let sink = report::sink(global.events, global.verbose > 0, printer);
        let events = Events::new(vec![sink]);
        let fetched = desired::artifacts::fetch(&cluster, architectures, &events).await?;
        let (set, dir) = match self.out {
            Some(dir) => (artifacts::write_directory(&fetched, &dir)?, dir),
            None => {
                let dir = fetched.directory().unwrap_or_default();
                (fetched, dir)
            }
        };
        let missing = missing_images(&cluster, &set);
        if global.output == OutputFormat::Json {
            let json = serde_json::json!({
                "directory": dir,
                "version": cluster.version.to_string(),
                "missingImages": missing,
            });
            printer.json(&json.to_string());
            return Ok(ExitStatus::Done);
        }
        for (arch, images) in missing.iter().filter(|(_, images)| !images.is_empty()) {
            printer.err(&format!(
                "hosts pull these images, unless you save them to {}, as `docker save` writes them, \
                 and list them in SHA256SUMS:\n  {}",
                dir.join(format!("linux-{arch}/images")).display(),
                images.iter().cloned().collect::<Vec<_>>().join("\n  ")
            ));
        }
        printer.out(&dir.display().to_string());
        Ok(ExitStatus::Done)
    }
}

/// The images that hosts of each architecture would have to pull.
fn missing_images(
    cluster: &Cluster,
    set: &Set,
) -> std::collections::BTreeMap<String, BTreeSet<String>> {
    let images = kubernetes::images(&desired::artifacts::fit(cluster, set));
    let needed: BTreeSet<&str> = images
        .control_plane()
        .into_iter()
        .chain(images.worker())
        .collect();
    set.architectures
        .keys()
        .map(|arch| {
            let lacks = |image: &&&str| set.archive_of(arch, image).is_none();
            let missing = needed.iter().filter(lacks);
            (
                arch.clone(),
                missing.map(|image| (*image).to_owned()).collect(),
            )
        })
        .collect()
}
