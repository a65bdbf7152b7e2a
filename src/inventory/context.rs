//! What the checks of meaning share: where things stand in the file, where its
//! directory is, and where findings go.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::finding::{Finding, Severity};
use super::shape::Shape;
use super::source::Source;
use super::syntax::Wrong;
use super::tree::Path;

/// A fault whose places are still paths into the tree.
pub(super) struct Fault {
    severity: Severity,
    message: String,
    at: Path,
    aim: Aim,
    label: String,
    also: Vec<(Path, String)>,
    help: Vec<String>,
}

/// What of a path a fault is about.
#[derive(PartialEq)]
enum Aim {
    Value,
    Key,
    /// The value with all that lies below it.
    Whole,
}

impl Fault {
    /// An error about one place.
    pub(super) fn error(at: &Path, message: impl Into<String>) -> Self {
        Fault {
            severity: Severity::Error,
            message: message.into(),
            at: at.clone(),
            aim: Aim::Value,
            label: String::new(),
            also: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A doubt about one place.
    pub(super) fn warning(at: &Path, message: impl Into<String>) -> Self {
        Fault {
            severity: Severity::Warning,
            ..Fault::error(at, message)
        }
    }

    /// Points at the key, not at its value.
    pub(super) fn at_key(mut self) -> Self {
        self.aim = Aim::Key;
        self
    }

    /// Says that something is missing: not to be trusted if anything below had
    /// to be mended.
    pub(super) fn about_whole(mut self) -> Self {
        self.aim = Aim::Whole;
        self
    }

    /// Says at the place itself what is wrong with it.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a place that the first one conflicts with.
    pub(super) fn also(mut self, at: &Path, label: impl Into<String>) -> Self {
        self.also.push((at.clone(), label.into()));
        self
    }

    /// Says what would be right.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// What the checks of meaning share.
pub(super) struct Context<'a> {
    source: &'a Arc<Source>,
    shape: &'a Shape,
    base_dir: &'a std::path::Path,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Context<'a> {
    /// `base_dir`, absolute, is what relative paths in the file start from.
    pub(super) fn new(
        source: &'a Arc<Source>,
        shape: &'a Shape,
        base_dir: &'a std::path::Path,
        findings: &'a mut Vec<Finding>,
    ) -> Self {
        Context {
            source,
            shape,
            base_dir,
            findings,
        }
    }

    /// Where relative paths in the file start from, absolute.
    pub(super) fn base_dir(&self) -> &std::path::Path {
        self.base_dir
    }

    /// Whether the file has a value at this path.
    pub(super) fn is_given(&self, path: &Path) -> bool {
        self.shape.tree.at(path).is_some()
    }

    /// Whether the value at this path, or a part of it, had to be mended.
    pub(super) fn is_mended(&self, path: &Path) -> bool {
        self.shape.mended.touches(path)
    }

    /// Records a fault, unless it follows from one that is known already.
    pub(super) fn report(&mut self, fault: Fault) {
        let mended = &self.shape.mended;
        let follows = match fault.aim {
            Aim::Whole => mended.touches(&fault.at),
            Aim::Key | Aim::Value => mended.covers(&fault.at),
        };
        if follows || fault.also.iter().any(|(path, _)| mended.covers(path)) {
            return;
        }
        let tree = &self.shape.tree;
        let span = match fault.aim {
            Aim::Key => tree.key_place(&fault.at),
            Aim::Value | Aim::Whole => tree.place(&fault.at),
        };
        let mut finding = Finding::new(self.source, fault.severity, span, fault.message);
        finding = finding.label(fault.label);
        for (path, label) in fault.also {
            finding = finding.also(tree.place(&path), label);
        }
        for help in fault.help {
            finding = finding.help(help);
        }
        self.findings.push(finding);
    }

    /// The value of a parse, or a finding: `` `spec.x` is not a … ``.
    pub(super) fn valid<T>(&mut self, at: &Path, parsed: Result<T, Wrong>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.report(Fault::error(at, format!("`{at}` {wrong}")));
                None
            }
        }
    }

    /// [`Context::valid`] for a mapping's key.
    pub(super) fn valid_key(&mut self, at: &Path, key: &str, parsed: Result<(), Wrong>) {
        if let Err(wrong) = parsed {
            let message = format!("the key `{}` {wrong}", super::yaml::shorten(key));
            self.report(Fault::error(at, message).at_key());
        }
    }

    /// A path on the workstation, absolute: `~/` is the home directory, and
    /// relative paths start from the inventory's.
    pub(super) fn local_path(&self, text: &str) -> PathBuf {
        let path = match text.strip_prefix("~/").zip(std::env::home_dir()) {
            Some((rest, home)) => home.join(rest),
            None => self.base_dir.join(text),
        };
        // Drops `.`, but leaves `..` to the file system, which knows symlinks.
        path.components().collect()
    }

    /// The absolute path of a file that has to exist.
    pub(super) fn file(&mut self, at: &Path, text: &str) -> PathBuf {
        let path = self.local_path(text);
        if let Some(metadata) = self.metadata(at, text, &path)
            && !metadata.is_file()
        {
            let message = format!("`{at}` names something that is no file");
            self.report(Fault::error(at, message).label(path.display().to_string()));
        }
        path
    }

    /// The absolute path of a file that only its owner may read.
    pub(super) fn secret_file(&mut self, at: &Path, text: &str) -> PathBuf {
        let path = self.file(at, text);
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
            && metadata.permissions().mode() & 0o077 != 0
        {
            let mode = metadata.permissions().mode() & 0o7777;
            let message = format!("`{at}` names a file that others may read");
            self.report(
                Fault::error(at, message)
                    .label(format!("its mode is {mode:04o}"))
                    .help(format!("chmod 600 {}", path.display())),
            );
        }
        path
    }

    /// The absolute path of a directory that has to exist.
    pub(super) fn directory(&mut self, at: &Path, text: &str) -> PathBuf {
        let path = self.local_path(text);
        if let Some(metadata) = self.metadata(at, text, &path)
            && !metadata.is_dir()
        {
            let message = format!("`{at}` names something that is no directory");
            self.report(Fault::error(at, message).label(path.display().to_string()));
        }
        path
    }

    fn metadata(&mut self, at: &Path, text: &str, path: &std::path::Path) -> Option<Metadata> {
        if text.trim().is_empty() {
            self.report(Fault::error(at, format!("`{at}` is empty")));
            return None;
        }
        match fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(error) => {
                let reason = match error.kind() {
                    std::io::ErrorKind::NotFound => "that does not exist".to_owned(),
                    _ => format!("that can't be looked at: {error}"),
                };
                let mut fault = Fault::error(at, format!("`{at}` names a path {reason}"))
                    .label(path.display().to_string());
                if std::path::Path::new(text).is_relative() && !text.starts_with("~/") {
                    fault = fault.help("relative paths start from the inventory's directory");
                }
                self.report(fault);
                None
            }
        }
    }
}
