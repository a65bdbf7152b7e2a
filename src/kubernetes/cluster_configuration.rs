//! `ClusterConfiguration`, the document that kubeadm keeps in the ConfigMap
//! `kubeadm-config` and later reads back.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::endpoint::{self, Endpoints};
use super::{etcd, tree, versions};
use crate::inventory::spec::{EnvVar, HostPathMount};
use crate::inventory::{Arg, Cluster, Etcd};

/// The document (v1beta4), fully defaulted, with what the operator set and
/// nothing that kubeadm would leave out.
pub(crate) fn cluster_configuration(cluster: &Cluster, endpoints: &Endpoints) -> Value {
    let networking = &cluster.networking;
    let mut api_server = component_section(
        &cluster.api_server.extra_args,
        &cluster.api_server.extra_envs,
        &cluster.api_server.extra_volumes,
    );
    put_list(
        &mut api_server,
        "certSANs",
        &endpoint::api_server_sans(cluster),
    );
    let plain = |component_: &crate::inventory::ControlPlaneComponent| {
        component_section(
            &component_.extra_args,
            &component_.extra_envs,
            &component_.extra_volumes,
        )
    };

    let mut document = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "apiServer": api_server,
        "caCertificateValidityPeriod": go_duration(cluster.ca_certificate_validity),
        "certificateValidityPeriod": go_duration(cluster.certificate_validity),
        "certificatesDir": cluster.certificates_dir,
        "clusterName": cluster.cluster_name,
        "controllerManager": plain(&cluster.controller_manager),
        "dns": dns_section(cluster),
        "encryptionAlgorithm": cluster.encryption_algorithm,
        "etcd": etcd_section(cluster),
        "imageRepository": cluster.image_repository,
        "kubernetesVersion": cluster.version.to_string(),
        "networking": {"dnsDomain": networking.dns_domain},
        "proxy": if cluster.proxy_disabled { json!({"disabled": true}) } else { json!({}) },
        "scheduler": plain(&cluster.scheduler),
    });
    if let Some(endpoint) = endpoints.for_kubeadm(cluster) {
        tree::set_field(&mut document, "controlPlaneEndpoint", endpoint.to_string());
    }
    for (key, subnet) in [
        ("podSubnet", networking.pod_subnet()),
        ("serviceSubnet", networking.service_subnet()),
    ] {
        if !subnet.is_empty() {
            tree::set_field(&mut document["networking"], key, subnet);
        }
    }
    let gates: Map<String, Value> = versions::feature_gates(cluster)
        .map(|(name, on)| (name.clone(), on.into()))
        .collect();
    if !gates.is_empty() {
        tree::set_field(&mut document, "featureGates", gates);
    }
    tree::sort_keys(document)
}

fn component_section(
    args: &[Arg],
    envs: &[EnvVar],
    volumes: &[HostPathMount],
) -> Map<String, Value> {
    let mut component = Map::new();
    put_list(&mut component, "extraArgs", args);
    put_list(&mut component, "extraEnvs", envs);
    let volumes: Vec<Value> = volumes.iter().map(volume_entry).collect();
    put_list(&mut component, "extraVolumes", &volumes);
    component
}

fn volume_entry(volume: &HostPathMount) -> Value {
    let mut value = json!({
        "name": volume.name,
        "hostPath": volume.host_path,
        "mountPath": volume.mount_path,
    });
    if volume.read_only {
        tree::set_field(&mut value, "readOnly", true);
    }
    if let Some(kind) = volume.path_type.as_deref().filter(|kind| !kind.is_empty()) {
        tree::set_field(&mut value, "pathType", kind);
    }
    value
}

fn dns_section(cluster: &Cluster) -> Map<String, Value> {
    let mut dns = image_fields(&cluster.dns.image_repository, &cluster.dns.image_tag);
    if cluster.dns.disabled {
        dns.insert("disabled".into(), true.into());
    }
    dns
}

fn etcd_section(cluster: &Cluster) -> Value {
    match &cluster.etcd {
        Etcd::Local(etcd) => {
            let mut local = image_fields(&etcd.image_repository, &etcd.image_tag);
            local.insert("dataDir".into(), etcd.data_dir.clone().into());
            put_list(&mut local, "extraArgs", &etcd.extra_args);
            put_list(&mut local, "extraEnvs", &etcd.extra_envs);
            put_list(&mut local, "serverCertSANs", &etcd.server_cert_sans);
            put_list(&mut local, "peerCertSANs", &etcd.peer_cert_sans);
            json!({ "local": local })
        }
        Etcd::External(etcd) => {
            // kubeadm reads paths of the node here; ours are the operator's.
            let paths = etcd::external_paths(cluster);
            let path = |of: fn(&etcd::ExternalPaths) -> &Option<String>| {
                paths
                    .as_ref()
                    .and_then(|paths| of(paths).clone())
                    .unwrap_or_default()
            };
            let mut external = Map::new();
            external.insert("endpoints".into(), json!(etcd.endpoints));
            // The field came with v1.35; kubeadm warns of it before.
            if cluster.version.minor >= 35 {
                let endpoints = match etcd.http_endpoints.as_slice() {
                    [] => &etcd.endpoints,
                    own => own,
                };
                put_list(&mut external, "httpEndpoints", endpoints);
            }
            external.insert("caFile".into(), path(|paths| &paths.ca_file).into());
            external.insert("certFile".into(), path(|paths| &paths.cert_file).into());
            external.insert("keyFile".into(), path(|paths| &paths.key_file).into());
            json!({ "external": external })
        }
    }
}

fn image_fields(repository: &Option<String>, tag: &Option<String>) -> Map<String, Value> {
    let fields = [("imageRepository", repository), ("imageTag", tag)];
    fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into())))
        .collect()
}

/// Sets a list unless it is empty.
fn put_list<T: serde::Serialize>(object: &mut Map<String, Value>, key: &str, list: &[T]) {
    if !list.is_empty() {
        object.insert(key.to_owned(), json!(list));
    }
}

/// A duration as Go prints it: `8760h0m0s`, `1m30s`, `1.5s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match duration.subsec_millis() {
        0 => String::new(),
        millis => format!(".{millis:03}").trim_end_matches('0').to_owned(),
    };
    match (hours, minutes) {
        (0, 0) => format!("{rest}{fraction}s"),
        (0, _) => format!("{minutes}m{rest}{fraction}s"),
        _ => format!("{hours}h{minutes}m{rest}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_like_go() {
        let printed = |millis| go_duration(Duration::from_millis(millis));
        assert_eq!(printed(8760 * 3_600_000), "8760h0m0s");
        assert_eq!(printed(90_000), "1m30s");
        assert_eq!(printed(1_500), "1.5s");
        assert_eq!(printed(0), "0s");
    }
}
