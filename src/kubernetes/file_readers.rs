//! Which static pods read a file of the operator's: they have it mounted, or an argument names
//! it. Read off the manifests, so that it makes no difference whether a field, a patch or a
//! template put it there.

use serde_json::Value;

use crate::host::{Content, FileResource};
use crate::layout::paths;

/// Arguments whose files are read again whenever they change.
const READ_AGAIN: [&str; 7] = [
    "authentication-config",
    "authorization-config",
    "client-ca-file",
    "requestheader-client-ca-file",
    "tls-cert-file",
    "tls-private-key-file",
    "tls-sni-cert-key",
];

/// Names of the static pods among `manifests` that read a file once, when they start.
pub(crate) fn readers_of_file(manifests: &[FileResource], file: &str) -> Vec<String> {
    let readers = manifests.iter().filter_map(|manifest| {
        let name = paths::static_pod(&manifest.path)?;
        let Content::Bytes(bytes) = &manifest.content else {
            return None;
        };
        let pod: Value = serde_saphyr::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
        reads(&pod["spec"], file).then(|| name.to_owned())
    });
    readers.collect()
}

fn reads(spec: &Value, file: &str) -> bool {
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let mut mounted = volumes.filter_map(|volume| volume["hostPath"]["path"].as_str());
    // What every system has there is read by others, too.
    let is_mounted = mounted.any(|path| {
        let path = path.trim_end_matches('/');
        let below = file.strip_prefix(path);
        !paths::CA_DIRECTORIES.contains(&path)
            && path != "/etc/ssl/certs"
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let containers = spec["containers"].as_array().into_iter().flatten();
    let words = containers.flat_map(|one| {
        let lists = [&one["command"], &one["args"]].into_iter();
        lists.flat_map(|list| list.as_array().into_iter().flatten())
    });
    let mut named = words.filter_map(|word| {
        let (name, value) = word.as_str()?.strip_prefix("--")?.split_once('=')?;
        value.split(',').any(|path| path == file).then_some(name)
    });
    match named.next() {
        Some(name) => {
            let all_again =
                READ_AGAIN.contains(&name) && named.all(|name| READ_AGAIN.contains(&name));
            !all_again
        }
        None => is_mounted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_those_that_mount_a_file_or_are_told_its_path() {
        let manifest = |name: &str, command: &str, volume: &str| {
            let text = format!(
                "spec:\n  containers:\n  - command: [{name}, \"{command}\"]\n  volumes:\n  \
                 - hostPath: {{path: {volume}}}\n  - hostPath: {{path: /etc/ssl/certs}}\n"
            );
            FileResource::text(paths::manifest(name), text)
        };
        let manifests = [
            manifest(
                "kube-apiserver",
                "--audit-policy-file=/etc/audit/policy.yaml",
                "/etc/audit",
            ),
            manifest(
                "kube-scheduler",
                "--config=/srv/scheduler.yaml",
                "/srv/scheduler.yaml",
            ),
            manifest(
                "etcd",
                "--authentication-config=/srv/auth/a.yaml",
                "/srv/auth/",
            ),
        ];
        let readers = |file: &str| readers_of_file(&manifests, file).join(" ");
        assert_eq!(readers("/etc/audit/policy.yaml"), "kube-apiserver");
        assert_eq!(readers("/etc/audit/more/x"), "kube-apiserver", "mounted");
        assert_eq!(readers("/etc/audit2/x"), "");
        assert_eq!(readers("/srv/scheduler.yaml"), "kube-scheduler");
        assert_eq!(readers("/srv/auth/a.yaml"), "", "it is read again");
        assert_eq!(readers("/srv/auth/b.yaml"), "etcd");
        assert_eq!(readers("/etc/ssl/certs/ca.pem"), "");
        assert_eq!(readers("/etc/motd"), "");
    }
}
