//! What leaves the inventory: planned as deletions, deleted last, and nothing else.

use clusterctl::plan::document::{ObjectAction, PlanDocument};
use serde_json::json;

use super::recorded::Cluster;

const KUBE_PROXY: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";
const PARENT: &str = "/api/v1/namespaces/kube-system/configmaps/clusterctl-rs";
const TOKEN: &str = "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef";

fn deleted(plan: &PlanDocument) -> Vec<String> {
    let objects = plan.objects.iter();
    let deleted = objects.filter(|one| one.action == ObjectAction::Delete);
    deleted.map(|one| one.title()).collect()
}

fn kinds(cluster: &Cluster) -> String {
    let world = cluster.shared.lock();
    let parent = world.objects.get(PARENT).expect("the set's parent");
    let kinds = &parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"];
    kinds.as_str().expect("a list").to_owned()
}

#[tokio::test(start_paused = true)]
async fn add_ons_that_left_the_inventory_are_planned_as_deletions_and_deleted() {
    let mut cluster = Cluster::running(1, 1).await;
    assert!(kinds(&cluster).contains("DaemonSet.apps"));
    cluster.spec = "  proxy: {disabled: true}\n".into();
    let plan = cluster.plan().await;
    let all = deleted(&plan);
    for title in [
        "DaemonSet kube-system/kube-proxy",
        "ConfigMap kube-system/kube-proxy",
        "ServiceAccount kube-system/kube-proxy",
        "ClusterRoleBinding kubeadm:node-proxier",
        "Role kube-system/kube-proxy",
        "RoleBinding kube-system/kube-proxy",
    ] {
        assert!(all.contains(&title.to_owned()), "{title} in {all:?}");
    }
    assert_eq!(all.len(), 6);
    assert!(
        plan.changes >= 6
            && plan
                .order
                .iter()
                .any(|stage| stage.how.contains("delete 6"))
    );
    assert_eq!(cluster.lines(), [""; 0]);

    assert_eq!(cluster.apply_plan(&[], Some(&plan)).await.unwrap(), []);
    cluster.assert_order(&[
        &format!("api: delete {KUBE_PROXY}"),
        "api: delete /api/v1/namespaces/kube-system/configmaps/kube-proxy",
        &format!("api: apply {PARENT}"),
    ]);
    assert!(
        !kinds(&cluster).contains("DaemonSet"),
        "{}",
        kinds(&cluster)
    );
    assert!(cluster.shared.lock().objects.paths("coredns").count() > 3);

    cluster.shared.clear();
    assert_eq!(cluster.plan().await.changes, 0);
    cluster.spec = "  dns: {disabled: true}\n".into();
    cluster.apply().await.unwrap();
    let world = cluster.shared.lock();
    assert_eq!(world.objects.paths("coredns").count(), 0);
    assert_eq!(world.objects.paths("/services/kube-dns").count(), 0);
    assert_eq!(world.objects.paths("kube-proxy").count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_partial_run_deletes_only_what_its_phases_applied() {
    let mut cluster = Cluster::running(1, 1).await;
    cluster.spec = "  proxy: {disabled: true}\n".into();
    cluster.skipped = vec!["addons".into()];
    assert_eq!(deleted(&cluster.plan().await), [""; 0]);
    cluster.apply().await.unwrap();
    assert!(cluster.shared.lock().objects.get(KUBE_PROXY).is_some());
    assert!(kinds(&cluster).contains("DaemonSet.apps"));
    cluster.skipped.clear();
    cluster.apply().await.unwrap();
    assert!(cluster.shared.lock().objects.get(KUBE_PROXY).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_we_did_not_apply_stays_whatever_its_labels() {
    let mut cluster = Cluster::running(1, 1).await;
    {
        let mut world = cluster.shared.lock();
        let mut copy = world.objects.get(KUBE_PROXY).expect("kube-proxy").clone();
        copy["metadata"]["name"] = "copy".into();
        copy["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Apply"}]);
        world
            .objects
            .put(&KUBE_PROXY.replace("kube-proxy", "copy"), copy);
        // One of a cluster that an earlier release made: in the inventory, and unlabelled.
        let path = "/api/v1/namespaces/kube-system/serviceaccounts/coredns";
        let mut old = world.objects.get(path).expect("an account").clone();
        old["metadata"]["labels"] = json!({});
        world.objects.put(path, old);
    }
    let plan = cluster.plan().await;
    assert_eq!((plan.changes, deleted(&plan)), (1, vec![]));
    cluster.apply().await.unwrap();
    cluster.spec = "  proxy: {disabled: true}\n  dns: {disabled: true}\n".into();
    cluster.apply().await.unwrap();
    let world = cluster.shared.lock();
    assert_eq!(world.objects.paths("/daemonsets/").count(), 1);
    assert_eq!(
        world.objects.paths("/serviceaccounts/").count(),
        0,
        "adopted, and deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_left_the_inventory_is_deleted_and_others_stay() {
    let mut cluster = Cluster::bare(1, 1);
    cluster.spec = "  bootstrapTokens: [{token: abcdef.0123456789abcdef}]\n".into();
    cluster.start().await;
    assert!(cluster.shared.lock().objects.get(TOKEN).is_some());
    assert_eq!(cluster.plan().await.changes, 0, "its expiration is kept");
    cluster.spec.clear();
    let plan = cluster.plan().await;
    assert_eq!(
        deleted(&plan),
        ["Secret kube-system/bootstrap-token-abcdef"]
    );
    let text = serde_json::to_string(&plan).unwrap();
    assert!(!text.contains("0123456789abcdef"), "{text}");
    cluster.apply().await.unwrap();
    let world = cluster.shared.lock();
    assert!(world.objects.get(TOKEN).is_none());
    assert_eq!(
        world.objects.paths("/secrets/bootstrap-token-").count(),
        1,
        "the run's"
    );
}

#[tokio::test(start_paused = true)]
async fn objects_of_a_manifest_leave_with_it() {
    let mut cluster = Cluster::bare(1, 0);
    let manifest = |text: &str| cluster.write("cni.yaml", text);
    let agent = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent, namespace: cni}\n\
                 spec: {}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: cni}\n";
    manifest(&format!(
        "{agent}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: old}}\n"
    ));
    cluster.spec = "  networking: {cni: {type: manifest, path: cni.yaml}}\n".into();
    cluster.start().await;
    cluster.write("cni.yaml", agent);
    let plan = cluster.plan().await;
    assert_eq!(deleted(&plan), ["ConfigMap old"]);
    cluster.apply().await.unwrap();
    assert!(cluster.has("api: delete /api/v1/namespaces/default/configmaps/old"));

    cluster.spec = "  networking: {cni: {type: none}}\n".into();
    cluster.shared.clear();
    cluster.apply().await.unwrap();
    assert!(cluster.has("api: delete /apis/apps/v1/namespaces/cni/daemonsets/agent"));
    assert!(
        !cluster.has("api: delete /api/v1/namespaces/cni"),
        "{:?}",
        cluster.lines()
    );
    let warnings = cluster.warnings();
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("`kubectl delete namespace cni`")),
        "{warnings:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn files_that_left_the_inventory_leave_their_hosts_and_no_others_do() {
    let mut cluster = Cluster::bare(1, 1);
    cluster.write("motd", "hello\n");
    cluster.spec = "  files:\n    - {source: motd, destination: /etc/motd}\n".into();
    cluster.start().await;
    let files = |cluster: &Cluster, host: &str| -> Vec<String> {
        let mut world = cluster.shared.lock();
        let receipt = world.host(host).machine.receipt.as_ref();
        receipt.expect("a receipt").files.keys().cloned().collect()
    };
    let before = files(&cluster, "cp1");
    assert!(before.contains(&"/etc/motd".to_owned()));
    cluster.spec.clear();
    let plan = cluster.plan().await;
    for host in &plan.hosts {
        let lines: Vec<String> = host
            .changes
            .iter()
            .map(|change| format!("{} {} {}", change.action, change.kind, change.name))
            .collect();
        assert_eq!(lines, ["remove file /etc/motd"], "{}", host.name);
    }
    assert_eq!(cluster.apply_plan(&[], Some(&plan)).await.unwrap(), []);
    assert!(
        !cluster
            .shared
            .lock()
            .host("w1")
            .machine
            .has_file("/etc/motd")
    );
    assert_eq!(files(&cluster, "cp1").len(), before.len() - 1);
    assert_eq!(cluster.plan().await.changes, 0);
}

#[tokio::test(start_paused = true)]
async fn the_built_in_network_leaves_its_hosts() {
    let mut cluster = Cluster::running(1, 1).await;
    cluster.spec = "  networking: {cni: {type: none}}\n".into();
    let plan = cluster.plan().await;
    let of = |host: usize| -> Vec<String> {
        let changes = plan.hosts[host].changes.iter();
        changes
            .map(|change| format!("{} {} {}", change.action, change.kind, change.name))
            .collect()
    };
    for host in [0, 1] {
        assert_eq!(
            of(host),
            [
                "stop unit clusterctl-pod-network.service",
                "remove file /etc/cni/net.d/10-clusterctl.conflist",
                "remove file /etc/systemd/system/clusterctl-pod-network.service",
                "remove file /usr/local/lib/clusterctl/pod-network.sh",
                "reload systemd unit files",
            ]
        );
    }
}
