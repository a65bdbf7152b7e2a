//! What all checks of meaning share: the tree that they point into, the directory that
//! paths are relative to, and the list of diagnostics.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::{Aim, Fault};
use super::syntax::Problem;
use crate::inventory::yaml::{Diagnostic, FieldPath, Shape, Source, shorten};

/// What the checks of meaning share.
pub(crate) struct Resolver<'a> {
    source: &'a Arc<Source>,
    shape: &'a Shape,
    base_dir: &'a Path,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    /// `base_dir`, absolute, is what relative paths in the file start from.
    pub(crate) fn new(
        source: &'a Arc<Source>,
        shape: &'a Shape,
        base_dir: &'a Path,
        diagnostics: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Resolver {
            source,
            shape,
            base_dir,
            diagnostics,
        }
    }

    /// Where relative paths in the file start from, absolute.
    pub(super) fn base_dir(&self) -> &Path {
        self.base_dir
    }

    /// Whether the file has a value at this path.
    pub(super) fn is_given(&self, path: &FieldPath) -> bool {
        self.shape.tree.find(path).is_some()
    }

    /// Whether the value at this path, or a part of it, had to be repaired.
    pub(super) fn is_repaired(&self, path: &FieldPath) -> bool {
        self.shape.repaired.touches(path)
    }

    /// Records a mistake, unless it only follows from one that is known already.
    pub(super) fn report(&mut self, fault: Fault) {
        // A placeholder stands in for what was repaired, and the operator has been told:
        // a second complaint about the placeholder would only confuse.
        let repaired = &self.shape.repaired;
        let follows = match fault.aim {
            Aim::Whole => repaired.touches(&fault.at),
            Aim::Key | Aim::Value => repaired.covers(&fault.at),
        };
        if follows || fault.also.iter().any(|(path, _)| repaired.covers(path)) {
            return;
        }
        let tree = &self.shape.tree;
        let span = match fault.aim {
            Aim::Key => tree.key_span_of(&fault.at),
            Aim::Value | Aim::Whole => tree.span_of(&fault.at),
        };
        let mut diagnostic = Diagnostic::new(self.source, fault.level, span, fault.message);
        diagnostic = diagnostic.label(fault.label);
        for (path, label) in fault.also {
            diagnostic = diagnostic.also(tree.span_of(&path), label);
        }
        for help in fault.help {
            diagnostic = diagnostic.help(help);
        }
        self.diagnostics.push(diagnostic);
    }

    /// The value of a parse, or a diagnostic: `` `spec.x` is not a … ``.
    pub(super) fn check<T>(&mut self, at: &FieldPath, parsed: Result<T, Problem>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(problem) => {
                self.report(Fault::error(at, format!("`{at}` {problem}")));
                None
            }
        }
    }

    /// [`Resolver::check`] for a mapping's key.
    pub(super) fn check_key(&mut self, at: &FieldPath, key: &str, parsed: Result<(), Problem>) {
        if let Err(problem) = parsed {
            let message = format!("key `{}` {problem}", shorten(key));
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
    pub(super) fn require_file(&mut self, at: &FieldPath, text: &str) -> PathBuf {
        let path = self.local_path(text);
        if let Some(metadata) = self.read_metadata(at, text, &path)
            && !metadata.is_file()
        {
            let message = format!("`{at}` is not a file");
            self.report(Fault::error(at, message).label(path.display().to_string()));
        }
        path
    }

    /// The absolute path of a file that only its owner may read.
    pub(super) fn require_secret_file(&mut self, at: &FieldPath, text: &str) -> PathBuf {
        let path = self.require_file(at, text);
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
            && metadata.permissions().mode() & 0o077 != 0
        {
            let mode = metadata.permissions().mode() & 0o7777;
            let message = format!("`{at}` can be read by other users");
            self.report(
                Fault::error(at, message)
                    .label(format!("mode {mode:04o}"))
                    .help(format!("run `chmod 600 {}`", path.display())),
            );
        }
        path
    }

    /// The absolute path of a directory that has to exist.
    pub(super) fn require_directory(&mut self, at: &FieldPath, text: &str) -> PathBuf {
        let path = self.local_path(text);
        if let Some(metadata) = self.read_metadata(at, text, &path)
            && !metadata.is_dir()
        {
            let message = format!("`{at}` is not a directory");
            self.report(Fault::error(at, message).label(path.display().to_string()));
        }
        path
    }

    fn read_metadata(&mut self, at: &FieldPath, text: &str, path: &Path) -> Option<Metadata> {
        if text.trim().is_empty() {
            self.report(Fault::error(at, format!("`{at}` must not be empty")));
            return None;
        }
        match fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(error) => {
                let reason = match error.kind() {
                    ErrorKind::NotFound => "does not exist".to_owned(),
                    _ => format!("can't be read: {error}"),
                };
                let mut fault =
                    Fault::error(at, format!("`{at}` {reason}")).label(path.display().to_string());
                if Path::new(text).is_relative() && !text.starts_with("~/") {
                    fault = fault.help("relative paths start at the inventory's directory");
                }
                self.report(fault);
                None
            }
        }
    }
}
