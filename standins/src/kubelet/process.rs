//! A static pod's container: a process in the host's namespaces, under the name and
//! version of its image, that sees only the files that the manifest mounts.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::{Kubelet, container_log};
use crate::api::{items, text};
use crate::kube_vip;

/// The images that there is a component for.
const PLAYED: [&str; 6] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "haproxy",
    "kube-vip",
];

/// Image, volumes, command: all that must be right before a process exists.
pub async fn start(kubelet: &Kubelet, manifest: &Value, logs: &Path) -> Result<Child, String> {
    let container = &manifest["spec"]["containers"][0];
    let image = text(container, "image");
    kubelet.runtime.check_image(image).await?;
    if manifest["spec"]["hostNetwork"] != true {
        return Err("only static pods of the host's network are played".into());
    }
    let mounts = mounts(manifest)?;
    let base = image.rsplit('/').next().unwrap_or_default();
    let (component, tag) = base.split_once(':').unwrap_or((base, "latest"));
    let mut words: Vec<&str> = items(container, "/command")
        .chain(items(container, "/args"))
        .filter_map(Value::as_str)
        .collect();
    if container["command"].is_null() {
        // The image's own entrypoint.
        words.insert(0, component);
    }
    let entry = words[0].rsplit('/').next().unwrap_or_default();
    if !PLAYED.contains(&component) || entry != component {
        return Err(format!(
            "RunContainerError: exec: {entry:?}: executable file not found in $PATH of image {image}"
        ));
    }
    let args = words.windows(2).map(|pair| match pair {
        ["-f", path] => host_path(path, &mounts, true),
        [_, word] => translate(word, &mounts),
        _ => String::new(),
    });
    let mut command = command(component, container)?;
    command
        .arg0(component)
        .args(args)
        .env_clear()
        .envs(std::env::var("STANDIN_ROOT").map(|root| ("STANDIN_ROOT", root)))
        .env(crate::version::IMAGE, tag)
        .envs(variables(container, &kubelet.node))
        .envs(surroundings(component, manifest, &mounts))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let failed = |e| format!("RunContainerError: {e}");
    let log = container_log::open_next(logs, text(container, "name")).map_err(failed)?;
    let mut child = command.spawn().map_err(failed)?;
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(container_log::follow(stderr, log));
    }
    Ok(child)
}

/// This program, or the host's own haproxy as the user that the manifest asks for.
fn command(component: &str, container: &Value) -> Result<Command, String> {
    if component != "haproxy" {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        return Ok(Command::new(program));
    }
    let mut command = Command::new("/usr/sbin/haproxy");
    if let Some(user) = container["securityContext"]["runAsUser"].as_u64() {
        command.uid(user as u32).gid(user as u32);
    }
    Ok(command)
}

/// Ends a process and those that it has started.
pub async fn terminate(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process_group(pid, Signal::TERM);
    }
    let gone = tokio::time::timeout(Duration::from_secs(5), child.wait());
    if gone.await.is_err() {
        let _ = child.kill().await;
    }
}

fn variables(container: &Value, node: &str) -> Vec<(String, String)> {
    items(container, "/env")
        .map(|e| {
            let value = match text(&e["valueFrom"]["fieldRef"], "fieldPath") {
                "spec.nodeName" => node,
                _ => text(e, "value"),
            };
            (text(e, "name").to_owned(), value.to_owned())
        })
        .collect()
}

/// What a component that is told nothing by its arguments finds around it.
fn surroundings(
    component: &str,
    manifest: &Value,
    mounts: &[(String, String)],
) -> Vec<(&'static str, String)> {
    if component != "kube-vip" {
        return vec![];
    }
    let container = &manifest["spec"]["containers"][0];
    let capabilities: Vec<&str> = items(container, "/securityContext/capabilities/add")
        .filter_map(Value::as_str)
        .collect();
    let kubeconfig = host_path(kube_vip::KUBECONFIG, mounts, true);
    let mut found = vec![
        (kube_vip::CAPABILITIES, capabilities.join(",")),
        (kube_vip::MOUNTED, kubeconfig),
    ];
    let alias = items(&manifest["spec"], "/hostAliases")
        .find(|alias| items(alias, "/hostnames").any(|name| name == "kubernetes"));
    if let Some(alias) = alias {
        found.push((kube_vip::ALIAS, text(alias, "ip").to_owned()));
    }
    found
}

/// Where the container sees which part of the host, longest path first.
fn mounts(manifest: &Value) -> Result<Vec<(String, String)>, String> {
    let mut mounts = vec![];
    for mount in items(&manifest["spec"]["containers"][0], "/volumeMounts") {
        let mut volumes = items(&manifest["spec"], "/volumes");
        let volume = volumes.find(|v| v["name"] == mount["name"]);
        let Some(source) = volume.and_then(|v| v.get("hostPath")) else {
            continue;
        };
        let path = text(source, "path");
        check_host_path(path, text(source, "type"))?;
        let clean = |path: &str| path.trim_end_matches('/').to_owned();
        mounts.push((clean(text(mount, "mountPath")), clean(path)));
    }
    mounts.sort_by_key(|(at, _)| std::cmp::Reverse(at.len()));
    Ok(mounts)
}

/// Checks or makes a hostPath, as its type asks for.
pub fn check_host_path(path: &str, kind: &str) -> Result<(), String> {
    let found = std::fs::metadata(path).map(|m| m.file_type());
    let good = match kind {
        "DirectoryOrCreate" if found.is_err() => std::fs::create_dir_all(path).is_ok(),
        "FileOrCreate" if found.is_err() => File::create(path).is_ok(),
        "DirectoryOrCreate" | "Directory" => found.is_ok_and(|f| f.is_dir()),
        "FileOrCreate" | "File" => found.is_ok_and(|f| f.is_file()),
        "Socket" => found.is_ok_and(|f| f.is_socket()),
        _ => true,
    };
    match good {
        true => Ok(()),
        false => Err(format!("hostPath type check failed: {path} is no {kind}")),
    }
}

/// The host's name of a path that an argument names inside the container; a file
/// that is mounted nowhere becomes one that does not exist.
fn translate(word: &str, mounts: &[(String, String)]) -> String {
    let flag = word.split_once('=');
    let Some((flag, value)) = flag.filter(|(f, v)| f.starts_with("--") && v.starts_with('/'))
    else {
        return word.to_owned();
    };
    let read = flag.ends_with("file")
        || flag.ends_with("kubeconfig")
        || flag.starts_with("--kubelet-client-")
        || flag.ends_with("-config")
        || flag == "--config";
    let data = flag.ends_with("-dir") || flag.ends_with("-path");
    if !read && !data {
        return word.to_owned();
    }
    let paths = value.split(',').map(|path| host_path(path, mounts, read));
    format!("{flag}={}", paths.collect::<Vec<_>>().join(","))
}

/// The host's name of a path inside the container.
fn host_path(path: &str, mounts: &[(String, String)], read: bool) -> String {
    let seen = mounts.iter().find_map(|(at, from)| {
        let rest = path.strip_prefix(at.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{from}{rest}"))
    });
    match seen {
        Some(path) => path,
        None if read => format!("/not-mounted-in-this-container{path}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_mounted_is_not_there() {
        let mounts = vec![("/etc/kubernetes/pki".to_owned(), "/host/pki".to_owned())];
        assert_eq!(
            translate("--client-ca-file=/etc/kubernetes/pki/ca.crt", &mounts),
            "--client-ca-file=/host/pki/ca.crt"
        );
        assert_eq!(
            translate("--kubeconfig=/etc/kubernetes/pkix", &mounts),
            "--kubeconfig=/not-mounted-in-this-container/etc/kubernetes/pkix"
        );
        assert_eq!(
            translate("--etcd-prefix=/registry", &mounts),
            "--etcd-prefix=/registry"
        );
    }
}
