//! From a file to a cluster, or to everything that is wrong with the file.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cluster::Cluster;
use super::error::InventoryError;
use super::place::directory_of;
use super::resolve::{Resolver, resolve_cluster};
use super::spec::{self, Inventory};
use super::yaml::{Diagnostic, Diagnostics, Level, Source, check_shape, parse_document};

/// Bytes that an inventory may have. Ten thousand hosts, each with a dozen
/// fields of its own, fill a quarter of it.
const MAX_BYTES: u64 = 16 << 20;

/// Reads an inventory. Returns the cluster and the warnings.
///
/// # Errors
///
/// The file can't be read, or it is invalid; the error then names every mistake.
pub fn load(path: &Path) -> Result<(Cluster, Vec<Diagnostic>), InventoryError> {
    let unreadable = |reason: String, hint: Option<&str>| InventoryError::Unreadable {
        path: path.to_owned(),
        reason,
        hint: hint.map(str::to_owned),
    };
    let bytes = read_bounded(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => {
                Some("name the file with -i, or create one with `clusterctl-rs init`")
            }
            ErrorKind::IsADirectory => Some("name the file inside it"),
            _ => None,
        };
        let reason = match error.kind() {
            ErrorKind::NotFound => "no such file".to_owned(),
            ErrorKind::IsADirectory => "it is a directory".to_owned(),
            _ => error.to_string(),
        };
        unreadable(reason, hint)
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        let reason = format!("it is larger than {} MiB", MAX_BYTES >> 20);
        return Err(unreadable(reason, Some("is this the right file?")));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let hint = "save it as UTF-8 in your editor";
        return Err(unreadable("it is UTF-16".to_owned(), Some(hint)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let (line, column) = Source::new("", before).position(valid);
        let reason = format!("it is not UTF-8: line {line}, column {column}");
        unreadable(reason, Some("save it as UTF-8 in your editor"))
    })?;
    parse(&text, &path.display().to_string(), &directory_of(path))
}

/// Reads no more than is allowed, and one byte to tell that there is more.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// [`load`] for a text that messages call `name`; relative paths in it start
/// from `base_dir`.
///
/// # Errors
///
/// The text is invalid; the error names every mistake.
pub fn parse(
    text: &str,
    name: &str,
    base_dir: &Path,
) -> Result<(Cluster, Vec<Diagnostic>), InventoryError> {
    // A byte order mark is an editor's habit, not a fault.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Arc::new(Source::new(name, text));
    let mut diagnostics = Vec::new();
    let cluster = read_source(&source, base_dir, &mut diagnostics);
    let faulty = |diagnostic: &Diagnostic| diagnostic.level() == Level::Error;
    match cluster {
        Some(cluster) if !diagnostics.iter().any(faulty) => {
            Ok((cluster, Diagnostics::new(name, diagnostics).into_list()))
        }
        _ => Err(InventoryError::Invalid(Diagnostics::new(name, diagnostics))),
    }
}

fn read_source(
    source: &Arc<Source>,
    base_dir: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Cluster> {
    let tree = parse_document(source, diagnostics)?;
    let schema = spec::schema();
    let shape = check_shape(source, &schema, &tree, diagnostics);
    let inventory: Inventory = match serde_json::from_value(shape.tree.to_json()) {
        Ok(inventory) => inventory,
        Err(error) => {
            // The schema is made from the types, so this can't be; if it is
            // nonetheless, it mustn't pass for a valid file.
            let message = format!(
                "internal error: the inventory fits its schema, but not its types: {error}"
            );
            diagnostics.push(Diagnostic::new(source, Level::Error, 0..0, message));
            return None;
        }
    };
    let base_dir: PathBuf = std::path::absolute(base_dir).unwrap_or_else(|_| base_dir.to_owned());
    let mut resolver = Resolver::new(source, &shape, &base_dir, diagnostics);
    Some(resolve_cluster(inventory, &mut resolver))
}
