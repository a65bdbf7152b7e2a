//! KubeletConfiguration, and what the kubelet demands of its host.

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::{field, host, in_test};
use crate::api::items;
use crate::flags::Flags;

/// The settings that the stand-in acts on.
#[derive(Debug)]
pub struct Config {
    /// `staticPodPath`.
    pub static_pods: String,
    /// `containerRuntimeEndpoint`.
    pub runtime_endpoint: String,
    /// `healthzBindAddress`.
    pub healthz_address: String,
    /// `healthzPort`.
    pub healthz_port: u16,
    /// `address`.
    pub address: String,
    /// `port`.
    pub port: u16,
    /// `authentication.x509.clientCAFile`.
    pub client_ca: String,
    /// `authentication.anonymous.enabled`.
    pub anonymous: bool,
    /// `rotateCertificates`.
    pub rotate: bool,
    /// `failSwapOn`.
    pub fail_swap: bool,
    /// `failCgroupV1`.
    pub fail_cgroup_v1: bool,
    /// `registerWithTaints` and the flag of that name.
    pub taints: Vec<Value>,
    /// `maxPods`.
    pub max_pods: u64,
    /// `--node-labels`.
    pub labels: Vec<(String, String)>,
}

/// Reads `--config` strictly; flags win.
pub fn load(flags: &Flags) -> anyhow::Result<Config> {
    let path = flags.get("config");
    let value: Value = if path.is_empty() {
        Value::Null
    } else {
        let failed = || {
            format!(
                "failed to load kubelet config file, path: {path}, error: failed to load Kubelet config file {path}"
            )
        };
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "{}, error failed to read kubelet config file {path:?}",
                failed()
            )
        })?;
        let value: Value = serde_saphyr::from_str(&text).with_context(failed)?;
        ensure!(
            value["kind"] == "KubeletConfiguration"
                && value["apiVersion"] == "kubelet.config.k8s.io/v1beta1",
            "{}, error failed to decode: no kind {} is registered for version {}",
            failed(),
            value["kind"],
            value["apiVersion"]
        );
        crate::schema::strict(&value)
            .map_err(|e| anyhow::anyhow!("{}, error failed to decode: {e}", failed()))?;
        value
    };
    let text = |name: &str, flag: &str, default: &str| -> String {
        if !flag.is_empty() && flags.has(flag) {
            return flags.get(flag).to_owned();
        }
        match field(&value, name) {
            "" => default.to_owned(),
            text => text.to_owned(),
        }
    };
    let port = |name: &str, default: u16| -> anyhow::Result<u16> {
        match value[name].as_u64() {
            None | Some(0) => Ok(default),
            Some(port) => u16::try_from(port).with_context(|| {
                format!(
                    "invalid configuration: {name} {port} must be between 1 and 65535, inclusive"
                )
            }),
        }
    };
    let bool = |name: &str, flag: &str, default: bool| {
        flags
            .has(flag)
            .then(|| flags.bool(flag, default))
            .or(value[name].as_bool())
            .unwrap_or(default)
    };
    let release = crate::version::current();
    let mut taints: Vec<Value> = items(&value, "/registerWithTaints").cloned().collect();
    if flags.has("register-with-taints") {
        taints = flags
            .list("register-with-taints")
            .iter()
            .filter_map(|t| crate::api::parse_taint(t).ok())
            .collect();
    }
    let config = Config {
        static_pods: text("staticPodPath", "pod-manifest-path", ""),
        runtime_endpoint: text("containerRuntimeEndpoint", "container-runtime-endpoint", ""),
        healthz_address: text("healthzBindAddress", "healthz-bind-address", "127.0.0.1"),
        healthz_port: port("healthzPort", 10248)?,
        address: text("address", "address", "0.0.0.0"),
        port: port("port", 10250)?,
        client_ca: if flags.has("client-ca-file") {
            flags.get("client-ca-file").to_owned()
        } else {
            field(&value["authentication"]["x509"], "clientCAFile").to_owned()
        },
        anonymous: value["authentication"]["anonymous"]["enabled"]
            .as_bool()
            .unwrap_or(false),
        rotate: bool("rotateCertificates", "rotate-certificates", false),
        fail_swap: bool("failSwapOn", "fail-swap-on", true),
        fail_cgroup_v1: bool("failCgroupV1", "", release.minor >= 35),
        taints,
        max_pods: value["maxPods"].as_u64().filter(|m| *m > 0).unwrap_or(110),
        labels: labels(flags)?,
    };
    validate(&value)?;
    if config.runtime_endpoint.is_empty() {
        bail!(
            "the container runtime endpoint address was not specified or empty, use --container-runtime-endpoint to set"
        );
    }
    Ok(config)
}

fn labels(flags: &Flags) -> anyhow::Result<Vec<(String, String)>> {
    let mut labels = vec![];
    let mut unknown = vec![];
    for label in flags.list("node-labels") {
        let (key, value) = label.split_once('=').unwrap_or((&label, ""));
        ensure!(
            crate::api::is_qualified_name(key) && crate::api::is_label_value(value),
            "invalid node labels: {label}"
        );
        if !crate::apiserver::kubelet_label(key) {
            unknown.push(key.to_owned());
        }
        labels.push((key.to_owned(), value.to_owned()));
    }
    ensure!(
        unknown.is_empty(),
        "unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: {unknown:?}\n--node-labels in the 'kubernetes.io' namespace must begin with an allowed prefix (kubelet.kubernetes.io, node.kubernetes.io) or be in the specifically allowed set"
    );
    Ok(labels)
}

fn validate(value: &Value) -> anyhow::Result<()> {
    let mut errors = vec![];
    let one_of = |name: &str, allowed: &[&str]| match field(value, name) {
        "" => None,
        given if allowed.contains(&given) => None,
        given => Some(format!(
            "invalid configuration: option {given:?} specified for {name}. Valid options are {allowed:?}"
        )),
    };
    errors.extend(one_of("cgroupDriver", &["cgroupfs", "systemd"]));
    errors.extend(one_of(
        "hairpinMode",
        &["promiscuous-bridge", "hairpin-veth", "none"],
    ));
    errors.extend(one_of(
        "topologyManagerPolicy",
        &["none", "best-effort", "restricted", "single-numa-node"],
    ));
    errors.extend(one_of("topologyManagerScope", &["container", "pod"]));
    errors.extend(one_of("cpuManagerPolicy", &["none", "static"]));
    for percent in ["imageGCHighThresholdPercent", "imageGCLowThresholdPercent"] {
        if value[percent]
            .as_i64()
            .is_some_and(|p| !(0..=100).contains(&p))
        {
            errors.push(format!(
                "invalid configuration: {percent} {} must be between 0 and 100, inclusive",
                value[percent]
            ));
        }
    }
    if let (Some(low), Some(high)) = (
        value["imageGCLowThresholdPercent"].as_i64(),
        value["imageGCHighThresholdPercent"].as_i64(),
    ) && low >= high
        && high > 0
    {
        errors.push(format!("invalid configuration: imageGCLowThresholdPercent (--image-gc-low-threshold) {low} must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) {high}"));
    }
    for dns in items(value, "/clusterDNS").filter_map(Value::as_str) {
        if dns.parse::<std::net::IpAddr>().is_err() {
            errors.push(format!(
                "invalid configuration: clusterDNS {dns:?} is not an IP address"
            ));
        }
    }
    for (gate, _) in value["featureGates"].as_object().into_iter().flatten() {
        if !gate.chars().next().is_some_and(char::is_uppercase) {
            errors.push(format!("unrecognized feature gate: {gate}"));
        }
    }
    if let Some(mode) = value["authorization"]["mode"].as_str()
        && !matches!(mode, "Webhook" | "AlwaysAllow" | "")
    {
        errors.push(format!("unknown authorization mode {mode}"));
    }
    ensure!(
        errors.is_empty(),
        "failed to validate kubelet configuration, error: [{}], path: &TypeMeta{{Kind:,APIVersion:,}}",
        errors.join(", ")
    );
    Ok(())
}

/// Swap, cgroups, kernel log: what the host must or must not have.
pub fn check_host(config: &Config) -> anyhow::Result<()> {
    let swaps = std::fs::read_to_string(host("/proc/swaps")).unwrap_or_default();
    if config.fail_swap && swaps.lines().count() > 1 {
        bail!(
            "failed to run Kubelet: running with swap on is not supported, please disable swap or set --fail-swap-on flag to false. /proc/swaps contained: {:?}",
            swaps.lines().collect::<Vec<_>>()
        );
    }
    if in_test() {
        return Ok(());
    }
    if config.fail_cgroup_v1 && !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    {
        bail!(
            "failed to validate kubelet configuration, error: kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release"
        );
    }
    ensure!(
        std::path::Path::new("/dev/kmsg").exists(),
        "failed to run Kubelet: failed to create kubelet: open /dev/kmsg: no such file or directory"
    );
    Ok(())
}
