//! The static pods of a control plane: the template's defaults, the operator's
//! arguments, environment and volumes merged in as kubeadm does, then patches.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::component::{Component, Extras};
use super::context::{ControlPlane, NodeContext, proxy_environment};
use super::error::KubernetesError;
use super::health::{self, HealthEndpoint, Scheme};
use super::{args, etcd, tree};
use crate::inventory::listen::last_value;
use crate::inventory::spec::EnvVar;
use crate::layout::{components, paths};

/// Renders a component's static pod.
pub fn render_pod(
    component: Component,
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
) -> Result<Value, KubernetesError> {
    let extras = component.extras(ctx.cluster);
    let template = format!("manifests/{}.yaml.j2", component.name());
    let view = template_values(component, ctx, control_plane, extras)?;
    let mut pod = ctx.templates.render_yaml(&template, &view)?;
    let environment = merge_environment(component, ctx, extras.envs);
    merge_extras(component, &mut pod, extras, &environment).ok_or_else(|| {
        ctx.templates
            .unexpected(&template, "a Pod", "no container has a command")
    })?;
    ctx.patches.apply(component.name(), &mut pod)?;
    Ok(pod)
}

/// The static pods that read a file of certificatesDir only when they start.
/// Files that are missing here are read again by those who use them: the API
/// server's serving certificate and its front proxy's, and etcd's certificates at
/// each handshake.
pub fn readers_of(file: &str) -> &'static [&'static str] {
    use components::{API_SERVER, CONTROLLER_MANAGER, ETCD};
    match file {
        "ca.crt" | "ca.key" | "sa.key" | "sa.pub" => &[API_SERVER, CONTROLLER_MANAGER],
        "apiserver-kubelet-client.crt" | "apiserver-kubelet-client.key" => &[API_SERVER],
        "front-proxy-ca.crt" => &[API_SERVER, CONTROLLER_MANAGER],
        "etcd/ca.crt" => &[ETCD, API_SERVER],
        _ => &[],
    }
}

fn template_values(
    component: Component,
    ctx: &NodeContext<'_>,
    control_plane: &ControlPlane<'_>,
    extras: Extras<'_>,
) -> Result<Value, KubernetesError> {
    let asked = health::component_endpoint(component, ctx.cluster, ctx.host, Some(ctx.facts));
    let timeout = ctx.cluster.timeouts.control_plane_component_health_check;
    let mut view = ctx.view()?;
    let mut set = |key: &str, value: Value| tree::set_field(&mut view, key, value);
    set(
        "probe",
        asked.map(|asked| probe_values(&asked, timeout)).into(),
    );
    set("anonymousHealth", control_plane.anonymous_health.into());
    set("etcd", etcd::template_values(ctx, control_plane)?);
    set("externalCA", control_plane.external_ca.into());
    set(
        "structuredAuthorization",
        last_value(extras.args, "authorization-config")
            .is_some()
            .into(),
    );
    set(
        "flexVolumeDir",
        last_value(extras.args, "flex-volume-plugin-dir")
            .unwrap_or(match ctx.facts.uses_opt {
                true => paths::FLEX_VOLUME_DIR_OPT,
                false => paths::FLEX_VOLUME_DIR,
            })
            .into(),
    );
    let directories = paths::CA_DIRECTORIES
        .iter()
        .filter(|directory| {
            ctx.facts
                .ca_directories
                .iter()
                .any(|found| found == *directory)
        })
        .map(|directory| json!({"path": directory, "name": directory[1..].replace('/', "-")}));
    set("caDirectories", directories.collect());
    Ok(view)
}

/// What the template's probes ask; null where the component can't be asked, so
/// that it has none.
fn probe_values(asked: &HealthEndpoint, timeout: Duration) -> Value {
    json!({
        "host": asked.probe_host(),
        "port": asked.port,
        "scheme": match asked.scheme {
            Scheme::Http => "HTTP",
            Scheme::Https => "HTTPS",
        },
        "startupFailures": startup_failures(timeout),
    })
}

/// So many periods of 10 s that the component has its whole time.
fn startup_failures(timeout: Duration) -> u64 {
    timeout
        .as_millis()
        .div_ceil(10_000)
        .try_into()
        .unwrap_or(u64::MAX)
}

/// Proxy variables, then the operator's; the later wins, sorted by name.
fn merge_environment(component: Component, ctx: &NodeContext<'_>, extra: &[EnvVar]) -> Vec<Value> {
    let proxy = match component {
        Component::Etcd => Vec::new(),
        _ => proxy_environment(ctx.facts),
    };
    let own = extra
        .iter()
        .map(|env| (env.name.clone(), env.value.clone()));
    let merged: BTreeMap<String, String> = proxy.into_iter().chain(own).collect();
    merged
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

/// Merges what the operator adds into what the template made. `None` if that
/// is not a pod with a command.
fn merge_extras(
    component: Component,
    pod: &mut Value,
    extras: Extras<'_>,
    environment: &[Value],
) -> Option<()> {
    let spec = pod.get_mut("spec")?;
    let container = spec.get_mut("containers")?.get_mut(0)?.as_object_mut()?;

    let command = container.get_mut("command")?.as_array_mut()?;
    let program = command.first()?.clone();
    let defaults = command[1..]
        .iter()
        .map(|word| args::parse_arg(word.as_str()?));
    let merged = args::merge_args(defaults.collect::<Option<Vec<_>>>()?, extras.args);
    *command = std::iter::once(program)
        .chain(merged.iter().map(|arg| args::render_arg(arg).into()))
        .collect();

    if !environment.is_empty() {
        let present = container
            .entry("env")
            .or_insert_with(|| json!([]))
            .as_array_mut()?;
        present.retain(|old| !environment.iter().any(|new| new["name"] == old["name"]));
        present.extend_from_slice(environment);
        present.sort_by_key(name_of);
    }

    let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
    let mounts = mounts.as_array_mut()?;
    for volume in extras.volumes {
        mounts.retain(|mount| mount["name"] != volume.name);
        let mut mount = json!({"mountPath": volume.mount_path, "name": volume.name});
        if volume.read_only {
            mount["readOnly"] = true.into();
        }
        mounts.push(mount);
    }
    // kubeadm keeps etcd's two mounts as they are.
    if component != Component::Etcd {
        mounts.sort_by_key(name_of);
    }

    let spec = spec.as_object_mut()?;
    let volumes = spec
        .entry("volumes")
        .or_insert_with(|| json!([]))
        .as_array_mut()?;
    for volume in extras.volumes {
        volumes.retain(|other| other["name"] != volume.name);
        // kubeadm writes an empty type where the operator gave none; it means
        // the same as the missing field, "don't check".
        let kind = volume.path_type.as_deref().unwrap_or_default();
        volumes.push(json!({
            "hostPath": {"path": volume.host_path, "type": kind},
            "name": volume.name,
        }));
    }
    volumes.sort_by_key(name_of);
    Some(())
}

fn name_of(value: &Value) -> String {
    value["name"].as_str().unwrap_or_default().to_owned()
}
