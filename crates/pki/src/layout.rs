//! Where each file of the store lies, relative to the operator state.
//!
//! `pki/` holds what all control planes share, and `hosts/<name>/pki/` a node's
//! own, both laid out as /etc/kubernetes/pki is. Client certificates that
//! kubeconfigs embed are in `kubeconfig/` there.

use std::path::Path;

/// A file that all control planes share.
pub fn shared_file(base: &str, extension: &str) -> String {
    format!("pki/{base}.{extension}")
}

/// A node's own file.
pub fn node_file(node: &str, base: &str, extension: &str) -> String {
    format!("hosts/{node}/pki/{base}.{extension}")
}

/// Whether a node's name is one component of a path, and not a special one.
pub(crate) fn is_path_component(name: &str) -> bool {
    !name.contains('\0') && Path::new(name).file_name().is_some_and(|last| last == name)
}
