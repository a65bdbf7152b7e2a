//! Whether ours and a host's own configuration of containerd go together: what preflight asks.

use serde_json::Value;

use super::effective::{Import, in_version_2, with_imports};
use super::existing::{Existing, newest_version};
use super::merge::{merge, to_json};
use super::{CRI, IMAGES, RUNTIME, existing, uses_systemd};
use crate::host::Facts;
use crate::inventory::{Cluster, Host};
use crate::kubernetes::versions;
use crate::layout::paths;

/// What keeps ours and the host's own configuration from going together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) remedy: String,
    /// Whether something would be lost, or containerd would not work.
    pub(crate) is_error: bool,
}

fn fault(message: String, remedy: impl Into<String>) -> Fault {
    Fault {
        message,
        remedy: remedy.into(),
        is_error: true,
    }
}

/// Judges the configuration of containerd on a host where we manage it.
pub(crate) fn judge(cluster: &Cluster, host: &Host, facts: &Facts) -> Vec<Fault> {
    if !cluster.manages_containerd(host) {
        return Vec::new();
    }
    let version = facts.containerd_version.as_deref();
    let version = version.and_then(versions::major_minor);
    let files = &facts.containerd;
    let ours = demands(cluster, host);
    let before = files
        .config
        .as_deref()
        .and_then(|text| existing::parse(text).ok());
    let before = before.map_or(Value::Null, |document| to_json(document.as_item()));
    let after = match Existing::read(files, version) {
        Ok(Some(existing)) => match merge(existing, &ours, version) {
            Ok(kept) => existing::parse(&kept.text)
                .map_or(Value::Null, |document| to_json(document.as_item())),
            Err(unusable) => return vec![not_kept(&unusable)],
        },
        Ok(None) => super::in_words_of(&ours, version).unwrap_or_default(),
        Err(_) if files.is_ours() => return Vec::new(),
        Err(unusable) => return vec![not_kept(&unusable)],
    };
    let mut faults = Vec::new();
    let imports = imported(files, &after, version, &mut faults);
    if !faults.is_empty() {
        return faults;
    }
    let deep = version >= Some((2, 1));
    let with = with_imports(&after, &imports, deep);
    // What containerd runs with: drop-ins that were not imported come into effect by ours.
    let listed = list_of(&before, "imports");
    let former = imports.iter().filter(|one| is_listed(&listed, one.path));
    let former: Vec<Import<'_>> = former
        .map(|one| Import {
            path: one.path,
            config: one.config.clone(),
        })
        .collect();
    let was = with_imports(&before, &former, deep);
    faults.extend(overridden(&after, &with, &imports));
    faults.extend(moved(cluster, facts, &was, &with));
    faults.extend(other_socket(host, &with));
    faults.extend(other_cgroups(host, &with));
    faults
}

fn not_kept(unusable: &existing::Unusable) -> Fault {
    fault(
        format!("the host's own configuration can't be kept: {unusable}"),
        format!(
            "fix it or move it away; with `{}` among `preflight.ignore`, ours replaces it, and \
             reset brings it back",
            super::CHECK
        ),
    )
}

/// What is demanded of containerd whatever the host: images and directories depend on more.
fn demands(cluster: &Cluster, host: &Host) -> Value {
    let mut ours = serde_json::json!({
        "version": 3,
        "imports": [paths::CONTAINERD_DROP_INS],
        "plugins": {
            RUNTIME: {"containerd": {"runtimes": {"runc": {
                "runtime_type": "io.containerd.runc.v2",
                "options": {"SystemdCgroup": uses_systemd(host)},
            }}}},
        },
    });
    crate::kubernetes::tree::merge_over(&mut ours, &cluster.containerd.config);
    ours
}

/// The files that will be imported. What this containerd can't read is a fault.
fn imported<'a>(
    files: &'a crate::host::ContainerdFiles,
    after: &Value,
    version: Option<(u32, u32)>,
    faults: &mut Vec<Fault>,
) -> Vec<Import<'a>> {
    let mut listed = list_of(after, "imports");
    let mut imports = Vec::new();
    for (path, text) in &files.imported {
        if !is_listed(&listed, path) {
            continue;
        }
        let import = text.as_deref().and_then(|text| Import::read(path, text));
        let Some(import) = import else {
            let what = match text {
                Some(_) => "is not valid TOML",
                None => "can't be judged: it is too large, or others than root can redirect it",
            };
            faults.push(fault(
                format!("{path}, which {} imports, {what}", paths::CONTAINERD_CONFIG),
                "fix it or move it away",
            ));
            continue;
        };
        let newest = newest_version(version);
        if import.version() > newest {
            faults.push(fault(
                format!(
                    "{path}, which {} imports, has version {}, and this containerd reads up to {newest}",
                    paths::CONTAINERD_CONFIG,
                    import.version()
                ),
                "write it in an earlier version, or move it away",
            ));
        }
        listed.extend(list_of(&import.config, "imports"));
        imports.push(import);
    }
    imports
}

/// Whether a list of imports names a path.
fn is_listed(listed: &[String], path: &str) -> bool {
    listed.iter().any(|pattern| {
        let absolute = match pattern.strip_prefix('/') {
            Some(_) => pattern.clone(),
            None => format!("/etc/containerd/{}", pattern.trim_start_matches("./")),
        };
        let slashes = |text: &str| text.matches('/').count();
        slashes(&absolute) == slashes(path) && text::glob::matches(&absolute, path)
    })
}

fn list_of(config: &Value, key: &str) -> Vec<String> {
    let list = config.get(key).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// Settings that we need and an imported file takes away.
fn overridden(after: &Value, with: &Value, imports: &[Import<'_>]) -> Vec<Fault> {
    let (main, result) = (in_version_2(after), in_version_2(with));
    let runtime = ["plugins", CRI, "containerd", "runtimes", "runc"];
    let needed = [
        [&runtime[..], &["options", "SystemdCgroup"]].concat(),
        [&runtime[..], &["runtime_type"]].concat(),
        vec!["plugins", CRI, "sandbox_image"],
        vec!["plugins", CRI, "cni", "bin_dir"],
        vec!["plugins", CRI, "cni", "conf_dir"],
    ];
    let mut lost: Vec<String> = Vec::new();
    for path in needed {
        let (wanted, found) = (look_up(&main, &path), look_up(&result, &path));
        if wanted.is_some() && wanted != found {
            lost.push(match found {
                Some(found) => format!("{} (to {found})", name(&path)),
                None => name(&path),
            });
        }
    }
    let names = [CRI, RUNTIME, IMAGES, "cri"];
    let is_cri = |name: &str| names.contains(&name);
    let whose = |concerns: &dyn Fn(&Value) -> bool| {
        let whose = imports.iter().filter(|one| concerns(&one.config));
        whose.map(|one| one.path).collect::<Vec<_>>().join(", ")
    };
    let mut faults = Vec::new();
    if list_of(with, "disabled_plugins")
        .iter()
        .any(|one| is_cri(one))
    {
        let whose = whose(&|config| {
            list_of(config, "disabled_plugins")
                .iter()
                .any(|one| is_cri(one))
        });
        faults.push(fault(
            format!("{whose} disables the CRI, which the kubelet needs"),
            "take it out of its `disabled_plugins`",
        ));
    }
    if !lost.is_empty() {
        let whose = whose(&|config| {
            let plugins = config.get("plugins").and_then(Value::as_object);
            plugins.is_some_and(|plugins| plugins.keys().any(|name| is_cri(name)))
        });
        faults.push(fault(
            format!(
                "{whose} takes away or changes what the kubelet needs: {}",
                lost.join(", ")
            ),
            "set the same in it; before 2.1, containerd takes a plugin's whole table from the \
             last file that has one",
        ));
    }
    faults
}

fn look_up<'a>(config: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(config, |at, key| at.get(*key))
}

fn name(path: &[&str]) -> String {
    let quoted = |key: &&str| match key.contains('.') {
        true => format!("\"{key}\""),
        false => (*key).to_owned(),
    };
    path.iter().map(quoted).collect::<Vec<_>>().join(".")
}

/// containerd's directories never move without a word: images and containers would be out of
/// sight.
fn moved(cluster: &Cluster, facts: &Facts, was: &Value, will: &Value) -> Vec<Fault> {
    if facts.containerd_version.is_none() {
        return Vec::new();
    }
    let running = &facts.containerd.running;
    let directories = [
        ("root", paths::CONTAINERD_DIR),
        ("state", paths::CONTAINERD_STATE_DIR),
    ];
    let moves = directories.into_iter().filter_map(|(key, default)| {
        let of = |config: &Value| {
            let set = config.get(key).and_then(Value::as_str);
            let set = set.filter(|text| !text.is_empty()).unwrap_or(default);
            set.trim_end_matches('/').to_owned()
        };
        let (from, to) = (of(was), of(will));
        if from == to {
            return None;
        }
        let asked = cluster.containerd.config.contains_key(key);
        let what = match running.as_slice() {
            [] => "images and containers in it would no longer be seen".to_owned(),
            containers => format!("these containers run: {}", containers.join(", ")),
        };
        Some(Fault {
            is_error: !asked || !running.is_empty(),
            ..fault(
                format!("containerd's {key} directory would move from {from} to {to}: {what}"),
                match asked {
                    true => format!("remove runtime.containerd.config.{key}, or stop them and move the directory first"),
                    false => format!("set `{key}` to {from} in the last file that sets it"),
                },
            )
        })
    });
    moves.collect()
}

/// The kubelet has to find containerd where it listens.
fn other_socket(host: &Host, with: &Value) -> Option<Fault> {
    let plugin = ["plugins", "io.containerd.server.v1.grpc", "address"];
    let address = look_up(with, &["grpc", "address"]).or_else(|| look_up(with, &plugin));
    let address = address
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())?;
    let plain = |path: &str| {
        path.trim_start_matches("unix://")
            .replacen("/var/run/", "/run/", 1)
    };
    if plain(address) == plain(&host.cri_socket) {
        return None;
    }
    Some(fault(
        format!(
            "containerd listens on {address}, and nodeRegistration.criSocket is {}",
            host.cri_socket
        ),
        format!("set criSocket to unix://{address}"),
    ))
}

/// A default runtime of the host's own has to use the kubelet's cgroups.
fn other_cgroups(host: &Host, with: &Value) -> Option<Fault> {
    let config = in_version_2(with);
    let runtimes = look_up(&config, &["plugins", CRI, "containerd"])?;
    let default = runtimes.get("default_runtime_name")?.as_str()?;
    let runtime = runtimes.get("runtimes")?.get(default)?;
    let flag = look_up(runtime, &["options", "SystemdCgroup"]).and_then(Value::as_bool);
    let is_runc =
        runtime.get("runtime_type").and_then(Value::as_str) == Some("io.containerd.runc.v2");
    let wanted = uses_systemd(host);
    if !is_runc || default == "runc" || flag.unwrap_or(false) == wanted {
        return None;
    }
    Some(Fault {
        is_error: false,
        ..fault(
            format!(
                "containerd's default runtime `{default}` has SystemdCgroup {}, and the kubelet's \
                 cgroupDriver is {}",
                flag.unwrap_or(false),
                if wanted { "systemd" } else { "cgroupfs" }
            ),
            format!("set options.SystemdCgroup of the runtime `{default}` to {wanted}"),
        )
    })
}
