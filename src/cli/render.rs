//! `render`: writes the files and objects that `apply` would create to a directory.

use std::collections::BTreeMap;
use std::fs;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use text::count;

use super::Global;
use super::load::load_inventory;
use crate::desired::render::Rendered;
use crate::host::{Content, Facts, Resource};
use crate::kubernetes;
use crate::run::error::{Error, ExitStatus};
use crate::run::phase::Phase;

/// Write the files and API objects that `apply` would create to a directory
#[derive(Debug, Args)]
#[command(after_help = "Example:
  clusterctl-rs render -o out && diff -r out.before out

Connects to no host. Layout:
  DIR/hosts/NAME/PATH             files, by their path on the host
  DIR/hosts/NAME.resources.txt    the rest: packages, units, sysctls, binaries, images
  DIR/objects/NN-KIND-NAME.yaml   API objects, in order

The output contains keys and tokens, readable only by you. Those that do not exist yet are
generated for the output only.")]
pub(super) struct RenderArgs {
    /// The inventory
    file: Option<PathBuf>,
    /// Directory to write to; created if missing
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Facts by host name (YAML or JSON), instead of assumed ones
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
}

impl RenderArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let printer = global.printer();
        let cluster = load_inventory(&global.inventory(self.file.as_ref()), printer)?;
        let facts = self
            .facts
            .as_deref()
            .map(read_facts)
            .transpose()?
            .unwrap_or_default();
        let rendered = crate::desired::render::render(&cluster, &facts).await?;
        let files = self.write(&rendered)?;
        printer.err(&format!(
            "wrote {} and {} to {}",
            count(files, "file"),
            count(rendered.objects.len(), "object"),
            self.out.display()
        ));
        Ok(ExitStatus::Done)
    }

    fn write(&self, rendered: &Rendered) -> Result<usize, Error> {
        let mut files = 0;
        for (host, resources) in &rendered.hosts {
            let mut others = String::new();
            for (phase, resource) in resources {
                match resource {
                    Resource::File(file) => {
                        if let Content::Bytes(bytes) = &file.content {
                            let path = file.path.trim_start_matches('/');
                            write_private_file(
                                &self.out.join("hosts").join(host).join(path),
                                bytes,
                                file.mode,
                            )?;
                            files += 1;
                            continue;
                        }
                        others.push_str(&describe_resource(*phase, resource));
                    }
                    _ => others.push_str(&describe_resource(*phase, resource)),
                }
            }
            let list = self.out.join("hosts").join(format!("{host}.resources.txt"));
            write_private_file(&list, others.as_bytes(), 0o644)?;
        }
        for (index, (_, object)) in rendered.objects.iter().enumerate() {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            let name = format!(
                "{index:02}-{}-{}.yaml",
                text("/kind").unwrap_or("object").to_lowercase(),
                text("/metadata/name")
                    .unwrap_or("unnamed")
                    .replace([':', '/'], "_"),
            );
            let yaml = kubernetes::to_yaml(object)?;
            write_private_file(&self.out.join("objects").join(name), yaml.as_bytes(), 0o600)?;
        }
        Ok(files)
    }
}

/// Describes a resource that is not a text file, on one line.
fn describe_resource(phase: Phase, resource: &Resource) -> String {
    let what = resource.describe();
    format!("{}: {what}\n", phase.name())
}

fn write_private_file(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let cannot = |source| Error::File {
        what: "write",
        path: path.to_owned(),
        source,
    };
    if let Some(dir) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(cannot)?;
    }
    // Opening an existing file would keep its mode, which may be world-readable.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode & 0o700)
        .open(path)
        .map_err(cannot)?;
    file.write_all(content).map_err(cannot)
}

fn read_facts(path: &Path) -> Result<BTreeMap<String, Facts>, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::File {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    serde_saphyr::from_str(&text).map_err(|error| {
        Error::Usage {
        message: format!("{}: {error}", path.display()),
        hint: Some(
            "the file maps host names to facts, such as {cp1: {arch: amd64, defaultIp: 192.0.2.11}}"
                .into(),
        ),
    }
    })
}
