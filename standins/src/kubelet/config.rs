//! KubeletConfiguration, and what the kubelet demands of its host.

use std::net::IpAddr;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::{host, is_test};
use crate::api::{items, text};
use crate::flags::Flags;

/// The settings that the stand-in acts on.
#[derive(Debug)]
pub struct Config {
    pub static_pods: String,
    pub runtime_endpoint: String,
    pub healthz_address: String,
    pub healthz_port: u16,
    pub address: String,
    pub port: u16,
    /// `authentication.x509.clientCAFile`.
    pub client_ca: String,
    /// `authentication.anonymous.enabled`.
    pub anonymous: bool,
    pub rotate: bool,
    fail_swap: bool,
    fail_cgroup_v1: bool,
    /// `registerWithTaints` and the flag of that name.
    pub taints: Vec<Value>,
    pub max_pods: u64,
    /// `--node-labels`.
    pub labels: Vec<(String, String)>,
}

/// Reads `--config` strictly; flags win.
pub fn load(flags: &Flags) -> anyhow::Result<Config> {
    let path = flags.get("config");
    let value = match path {
        "" => Value::Null,
        path => read(path).with_context(|| {
            format!("failed to load kubelet config file, path: {path}, error: failed to decode")
        })?,
    };
    let string = |name: &str, flag: &str, default: &str| match flags.get(flag) {
        "" => match text(&value, name) {
            "" => default.to_owned(),
            text => text.to_owned(),
        },
        flag => flag.to_owned(),
    };
    let bool = |name: &str, flag: &str, default: bool| {
        flags.bool(flag, value[name].as_bool().unwrap_or(default))
    };
    let port = |name: &str, default: u16| -> anyhow::Result<u16> {
        match value[name].as_u64() {
            None | Some(0) => Ok(default),
            Some(port) => port
                .try_into()
                .with_context(|| format!("invalid configuration: {name} {port} is no port")),
        }
    };
    let authentication = &value["authentication"];
    let mut taints: Vec<Value> = items(&value, "/registerWithTaints").cloned().collect();
    if flags.has("register-with-taints") {
        // The command line's syntax was checked with the command line.
        let given = flags.list("register-with-taints");
        let parsed = given.iter().flat_map(|t| crate::api::parse_taint(t));
        taints = parsed.collect();
    }
    let config = Config {
        static_pods: string("staticPodPath", "pod-manifest-path", ""),
        runtime_endpoint: string("containerRuntimeEndpoint", "container-runtime-endpoint", ""),
        healthz_address: string("healthzBindAddress", "healthz-bind-address", "127.0.0.1"),
        healthz_port: port("healthzPort", 10248)?,
        address: string("address", "address", "0.0.0.0"),
        port: port("port", 10250)?,
        client_ca: match flags.get("client-ca-file") {
            "" => text(&authentication["x509"], "clientCAFile").to_owned(),
            path => path.to_owned(),
        },
        anonymous: authentication["anonymous"]["enabled"] == true,
        rotate: bool("rotateCertificates", "rotate-certificates", false),
        fail_swap: bool("failSwapOn", "fail-swap-on", true),
        fail_cgroup_v1: bool("failCgroupV1", "", crate::version::current().minor >= 35),
        taints,
        max_pods: value["maxPods"].as_u64().filter(|m| *m > 0).unwrap_or(110),
        labels: labels(flags)?,
    };
    validate(&value)?;
    ensure!(
        !config.runtime_endpoint.is_empty(),
        "the container runtime endpoint address was not specified or empty, use --container-runtime-endpoint to set"
    );
    Ok(config)
}

fn read(path: &str) -> anyhow::Result<Value> {
    let value: Value = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
    let (kind, version) = (&value["kind"], &value["apiVersion"]);
    ensure!(
        kind == "KubeletConfiguration" && version == "kubelet.config.k8s.io/v1beta1",
        "no kind {kind} is registered for version {version}"
    );
    crate::schema::decode_strictly(&value).map_err(anyhow::Error::msg)?;
    Ok(value)
}

fn labels(flags: &Flags) -> anyhow::Result<Vec<(String, String)>> {
    let mut labels = vec![];
    for label in flags.list("node-labels") {
        let (key, value) = label.split_once('=').unwrap_or((&label, ""));
        ensure!(
            crate::api::is_qualified_name(key) && crate::api::is_label_value(value),
            "invalid node labels: {label}"
        );
        ensure!(
            crate::apiserver::is_kubelet_label(key),
            "unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [{key}]\n--node-labels in the 'kubernetes.io' namespace must begin with an allowed prefix (kubelet.kubernetes.io, node.kubernetes.io) or be in the specifically allowed set"
        );
        labels.push((key.to_owned(), value.to_owned()));
    }
    Ok(labels)
}

/// Settings that take one of these words.
const OPTIONS: [(&str, &str); 5] = [
    ("cgroupDriver", "cgroupfs systemd"),
    ("hairpinMode", "promiscuous-bridge hairpin-veth none"),
    ("cpuManagerPolicy", "none static"),
    (
        "topologyManagerPolicy",
        "none best-effort restricted single-numa-node",
    ),
    ("topologyManagerScope", "container pod"),
];

fn validate(value: &Value) -> anyhow::Result<()> {
    let check = |good: bool, why: String| match good {
        true => Ok(()),
        false => Err(anyhow::anyhow!(
            "failed to validate kubelet configuration, error: invalid configuration: {why}"
        )),
    };
    for (name, options) in OPTIONS {
        let given = text(value, name);
        check(
            given.is_empty() || options.split(' ').any(|option| option == given),
            format!("option {given:?} specified for {name}. Valid options are [{options}]"),
        )?;
    }
    for (gate, _) in value["featureGates"].as_object().into_iter().flatten() {
        let good = gate.starts_with(|c: char| c.is_ascii_uppercase());
        check(good, format!("unrecognized feature gate: {gate}"))?;
    }
    let percent = |name: &str, default| value[name].as_i64().unwrap_or(default);
    let low = percent("imageGCLowThresholdPercent", 80);
    let high = percent("imageGCHighThresholdPercent", 85);
    check(
        0 <= low && low < high && high <= 100,
        format!(
            "imageGCLowThresholdPercent (--image-gc-low-threshold) {low} must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) {high}"
        ),
    )?;
    for dns in items(value, "/clusterDNS").filter_map(Value::as_str) {
        let good = dns.parse::<IpAddr>().is_ok();
        check(good, format!("clusterDNS {dns:?} is not an IP address"))?;
    }
    let mode = text(&value["authorization"], "mode");
    check(
        matches!(mode, "Webhook" | "AlwaysAllow" | ""),
        format!("unknown authorization mode {mode}"),
    )
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
    if is_test() {
        return Ok(());
    }
    let is_there = |path: &str| std::path::Path::new(path).exists();
    ensure!(
        !config.fail_cgroup_v1 || is_there("/sys/fs/cgroup/cgroup.controllers"),
        "failed to validate kubelet configuration, error: kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release"
    );
    ensure!(
        is_there("/dev/kmsg"),
        "failed to run Kubelet: failed to create kubelet: open /dev/kmsg: no such file or directory"
    );
    Ok(())
}
