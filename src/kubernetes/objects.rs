//! The API objects that make a control plane a cluster, in the order in which
//! kubeadm creates them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cluster_configuration::cluster_configuration;
use super::context::{ClusterContext, proxy_environment};
use super::error::KubernetesError;
use super::group::ObjectGroup;
use super::network::pod_network;
use super::{kubeconfig, kubelet, tree, yaml};
use crate::layout::names;

/// Every object that `init` makes save those of `upload-certs`, which needs a
/// key and an owner ([`super::upload_certs`]).
pub fn objects(ctx: &ClusterContext<'_>) -> Result<Vec<(ObjectGroup, Value)>, KubernetesError> {
    let mut objects = Vec::new();
    let mut add = |group, list: Vec<Value>| {
        objects.extend(list.into_iter().map(|object| (group, object)));
    };
    add(ObjectGroup::UploadConfig, upload_config(ctx)?);
    add(ObjectGroup::BootstrapToken, bootstrap_token(ctx)?);
    if !ctx.cluster.dns.disabled {
        add(ObjectGroup::CoreDns, coredns_objects(ctx)?);
    }
    if !ctx.cluster.proxy_disabled {
        add(ObjectGroup::KubeProxy, kube_proxy(ctx)?);
    }
    let network = pod_network(ctx.cluster);
    add(ObjectGroup::PodNetwork, network.objects(ctx.cluster)?);
    Ok(objects)
}

/// What lets admin.conf administer: created with admin.conf if that is
/// possible, else with super-admin.conf.
pub fn cluster_admins(ctx: &ClusterContext<'_>) -> Result<Value, KubernetesError> {
    ctx.templates
        .render_yaml("objects/cluster-admins.yaml.j2", &ctx.view())
}

/// Who may read `kubeadm-certs`.
pub fn upload_certs_rbac(ctx: &ClusterContext<'_>) -> Result<Vec<Value>, KubernetesError> {
    ctx.templates
        .render_documents("objects/upload-certs.yaml.j2", &ctx.view())
}

/// kubeadm-config and kubelet-config, each with the role that may read it.
fn upload_config(ctx: &ClusterContext<'_>) -> Result<Vec<Value>, KubernetesError> {
    let document = yaml::to_string(&cluster_configuration(ctx.cluster, ctx.endpoints))?;
    let kubeadm = config_map(names::KUBEADM_CONFIG, "ClusterConfiguration", document);
    let document = yaml::to_string(&kubelet::shared_config(ctx)?)?;
    let mut kubelet = config_map(names::KUBELET_CONFIG, "kubelet", document);
    // kubeadm takes a hash for "generated, may be regenerated".
    if ctx.cluster.kubelet_config.is_empty() {
        annotate_hash(&mut kubelet);
    }
    let rbac = ctx
        .templates
        .render_documents("objects/upload-config.yaml.j2", &ctx.view())?;
    let names = |name| move |object: &&Value| object["metadata"]["name"] == name;
    let of = |name| rbac.iter().filter(names(name)).cloned();
    let others = rbac.iter().filter(|object| {
        !names("kubeadm:nodes-kubeadm-config")(object) && !names("kubeadm:kubelet-config")(object)
    });
    let mut objects = vec![kubeadm];
    objects.extend(of("kubeadm:nodes-kubeadm-config"));
    objects.push(kubelet);
    objects.extend(of("kubeadm:kubelet-config"));
    objects.extend(others.cloned());
    Ok(objects)
}

/// Tokens, what they may do, and `cluster-info`.
fn bootstrap_token(ctx: &ClusterContext<'_>) -> Result<Vec<Value>, KubernetesError> {
    let url = ctx.endpoints.outside.url();
    let info = yaml::to_string(&kubeconfig::cluster_info(&url, ctx.ca))?;
    let mut view = ctx.view();
    tree::set_field(&mut view, "clusterInfo", info);
    let mut objects: Vec<Value> = ctx.tokens.iter().map(|token| token.object()).collect();
    objects.extend(
        ctx.templates
            .render_documents("objects/bootstrap-token.yaml.j2", &view)?,
    );
    Ok(objects)
}

fn coredns_objects(ctx: &ClusterContext<'_>) -> Result<Vec<Value>, KubernetesError> {
    let mut objects = ctx
        .templates
        .render_documents("objects/coredns.yaml.j2", &ctx.view())?;
    for object in &mut objects {
        match object["kind"].as_str() {
            Some("Deployment") => ctx.patches.apply("corednsdeployment", object)?,
            Some("ConfigMap") => set_corefile(object, ctx.cluster.dns.corefile.as_deref()),
            _ => {}
        }
    }
    Ok(objects)
}

/// The inventory's Corefile, if it has one, and the hash by which an edit is noticed.
fn set_corefile(config_map: &mut Value, own: Option<&str>) {
    if let Some(own) = own {
        config_map["data"]["Corefile"] = own.into();
    }
    if let Some(corefile) = config_map["data"]["Corefile"].as_str() {
        let hash = hash_corefile(corefile);
        config_map["metadata"]["annotations"][names::COREFILE_HASH] = hash.into();
    }
}

/// What the annotation of CoreDNS's ConfigMap says about the Corefile that we wrote.
pub(crate) fn hash_corefile(corefile: &str) -> String {
    text::hex::encode(Sha256::digest(corefile.as_bytes()))
}

fn kube_proxy(ctx: &ClusterContext<'_>) -> Result<Vec<Value>, KubernetesError> {
    let mut view = ctx.view();
    let any = if ctx.advertise_address.is_ipv6() {
        "::"
    } else {
        "0.0.0.0"
    };
    tree::set_field(&mut view, "bindAddress", any);
    let mut config = ctx
        .templates
        .render_yaml("objects/kube-proxy-config.yaml.j2", &view)?;
    let theirs = &ctx.cluster.kube_proxy_config;
    tree::merge_over(&mut config, theirs);
    tree::set_field(
        &mut view,
        "config",
        yaml::to_string(&tree::sort_keys(config))?,
    );
    let environment: Vec<Value> = proxy_environment(ctx.facts)
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    tree::set_field(&mut view, "proxyEnvironment", environment);

    let mut objects = ctx
        .templates
        .render_documents("objects/kube-proxy.yaml.j2", &view)?;
    // kube-proxy reads its configuration and its kubeconfig once: its pods have to change
    // with them.
    let config = objects.iter().find(|object| object["kind"] == "ConfigMap");
    let hash = config.map(hash_values);
    for object in &mut objects {
        if object["kind"] == "ConfigMap" && theirs.is_empty() {
            annotate_hash(object);
        }
        if object["kind"] == "DaemonSet" {
            if let Some(hash) = &hash {
                let pod = &mut object["spec"]["template"]["metadata"];
                pod["annotations"][names::CONFIG_HASH] = hash.clone().into();
            }
            ctx.patches.apply("kubeproxydaemonset", object)?;
        }
    }
    Ok(objects)
}

fn config_map(name: &str, key: &str, document: String) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": names::KUBE_SYSTEM},
        "data": {key: document},
    })
}

/// The hash of a ConfigMap's values, in the order of their keys: lower hex.
fn hash_values(config_map: &Value) -> String {
    let mut entries: Vec<(&String, &str)> = config_map["data"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .collect();
    entries.sort();
    let mut hash = Sha256::new();
    for (_, value) in entries {
        hash.update(value.as_bytes());
    }
    text::hex::encode(hash.finalize())
}

/// Annotates a ConfigMap with its hash, as kubeadm does.
fn annotate_hash(config_map: &mut Value) {
    let digest = hash_values(config_map);
    config_map["metadata"]["annotations"][names::COMPONENT_CONFIG_HASH] =
        format!("sha256:{digest}").into();
}
