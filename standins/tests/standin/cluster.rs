//! The stand-ins together: a control plane from static pods, a worker that joins it,
//! and what must be refused on the way.

use std::fs;
use std::time::Duration;

use crate::support::{Ca, Cluster, Host, Running, ca, host, kubelet, until, write};
use clusterctl_standins::{
    Client, Error, Kubeconfig, MERGE, base64, is_condition, items, jws, secret_text,
};
use rcgen::ExtendedKeyUsagePurpose as Eku;
use serde_json::{Value, json};

const APPS: &str = "/apis/apps/v1/namespaces/kube-system";
const TOKEN: (&str, &str) = ("abcdef", "0123456789abcdef");

fn token_secret() -> Value {
    let text = |t: &str| base64(t.as_bytes());
    json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
           "metadata": {"name": format!("bootstrap-token-{}", TOKEN.0), "namespace": "kube-system"},
           "data": {"token-id": text(TOKEN.0), "token-secret": text(TOKEN.1), "usage-bootstrap-signing": text("true"),
                    "usage-bootstrap-authentication": text("true"), "auth-extra-groups": text("system:bootstrappers:kubeadm:default-node-token")}})
}

async fn apply(client: &Client, path: &str, manager: &str, object: &Value) -> Result<Value, Error> {
    let path = match path.contains('?') {
        true => format!("{path}&fieldManager={manager}"),
        false => format!("{path}?fieldManager={manager}"),
    };
    let kind = "application/apply-patch+yaml";
    client.patch(&path, kind, object).await
}

/// Waits until there is no such object.
async fn gone(client: &Client, path: &str) {
    let is_gone = async || client.get(path).await.err().filter(|e| e.code == 404);
    until(&format!("{path} gone"), 10, is_gone).await;
}

async fn ready(client: &Client, node: &str) {
    until(&format!("{node} Ready"), 20, async || {
        let node = client.get(&format!("/api/v1/nodes/{node}")).await.ok()?;
        (is_condition(&node, "Ready")
            && items(&node, "/spec/taints").all(|t| t["key"] != "node.kubernetes.io/not-ready"))
        .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_comes_up_and_refuses_what_it_should() {
    let mut cluster = Cluster::new();
    cluster.start();
    let root = cluster.client("super-admin.conf");
    until("the API", 20, async || root.get("/readyz").await.ok()).await;

    // Nobody but system:masters may do anything yet.
    let admin = cluster.client("admin.conf");
    let denied = admin.get("/api/v1/nodes").await.unwrap_err();
    assert_eq!(
        denied.message,
        "nodes is forbidden: User \"kubernetes-admin\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );
    cluster.let_join().await;
    let nodes = async || admin.get("/api/v1/nodes").await.ok();
    until("kubeadm:cluster-admins", 5, nodes).await;

    check_identities(&cluster).await;
    check_writes(&admin).await;
    ready(&admin, "cp1").await;
    let current = cluster.cp.path("kubelet-pki/kubelet-client-current.pem");
    let issued = async || fs::metadata(&current).ok();
    until("a rotating certificate for cp1", 10, issued).await;
    until("mirror pods", 10, async || {
        let path = "/api/v1/namespaces/kube-system/pods?labelSelector=tier%3Dcontrol-plane";
        let pods = admin.get(path).await.ok()?;
        let is_good = |p: &&Value| {
            let hash = &p["metadata"]["annotations"]["kubernetes.io/config.hash"];
            is_condition(p, "Ready") && hash.is_string()
        };
        let running = items(&pods, "/items").filter(is_good).count();
        (running == 4).then_some(())
    })
    .await;

    check_tokens(&cluster, &admin).await;
    let worker = join(&cluster, &admin).await;
    check_workloads(&admin).await;

    // A pod whose image no host has stays where it is, with the usual reason.
    let image = json!([{"name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v9"}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": image}}}});
    let path = format!("{APPS}/daemonsets/kube-proxy");
    admin.patch(&path, MERGE, &patch).await.unwrap();
    until("ErrImagePull", 10, async || {
        let path = "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-proxy";
        let pods = admin.get(path).await.ok()?;
        let why =
            |p: &Value| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
        items(&pods, "/items")
            .any(|p| why(p) == "ErrImagePull")
            .then_some(())
    })
    .await;

    // A static pod goes with its manifest, and its mirror with it.
    fs::remove_file(cluster.cp.path("manifests/kube-scheduler.yaml")).unwrap();
    let mirror = "/api/v1/namespaces/kube-system/pods/kube-scheduler-cp1";
    gone(&admin, mirror).await;
    drop(worker);
}

async fn check_identities(cluster: &Cluster) {
    let strange = ca("kubernetes");
    let as_master = async |ca: &Ca, usage: Eku| {
        let client = cluster.client_as(ca, "me", "system:masters", &[usage]);
        client.get("/api").await.map_err(|e| e.code)
    };
    let of_another_ca = as_master(&strange, Eku::ClientAuth).await;
    assert_eq!(of_another_ca, Err(401));
    let without_usage = as_master(&cluster.ca, Eku::ServerAuth).await;
    assert_eq!(without_usage, Err(401));
    assert!(as_master(&cluster.ca, Eku::ClientAuth).await.is_ok());
    let unknown = cluster.client_with_token("abcdef.ffffffffffffffff");
    assert_eq!(unknown.get("/api").await.unwrap_err().code, 401);
    // Nobody at all may ask how it goes, and no more.
    let nobody = cluster.client_with_token("");
    assert!(nobody.get("/livez").await.is_ok());
    assert!(nobody.get("/version").await.unwrap()["gitVersion"].is_string());
    let info = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
    let denied = nobody.get(info).await.unwrap_err();
    let wanted = "configmaps \"cluster-info\" is forbidden: User \"system:anonymous\" cannot get";
    assert!(denied.message.starts_with(wanted), "{denied}");
    // A server with another CA's certificate is not spoken to.
    let mut config = Kubeconfig::load(&cluster.cp.path("admin.conf")).unwrap();
    config.ca = strange.pem.into_bytes();
    let client = Client::new(&config).unwrap();
    let refused = client.get("/api").await.unwrap_err();
    assert_eq!(refused.code, 0);
    assert!(refused.message.contains("certificate"), "{refused}");
}

async fn check_writes(admin: &Client) {
    let base = "/api/v1/namespaces/default/configmaps";
    let own = format!("{base}/a");
    let object = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let list = admin.get(base).await.unwrap();
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let watch =
        format!("{base}?watch=true&resourceVersion={revision}&fieldSelector=metadata.name%3Da");
    let mut watch = admin.watch(&watch).await.unwrap();

    let (one, dry) = (object(json!({"x": "1"})), format!("{own}?dryRun=All"));
    let dry = apply(admin, &dry, "me", &one).await;
    assert_eq!(dry.unwrap()["data"]["x"], "1");
    let wrote = admin.get(&own).await.map_err(|e| e.code);
    assert_eq!(wrote, Err(404), "a dry run wrote");
    let both = object(json!({"x": "1", "y": "2"}));
    let first = apply(admin, &own, "me", &both).await.unwrap();
    let same = apply(admin, &own, "me", &both).await.unwrap();
    assert_eq!(
        first["metadata"]["resourceVersion"], same["metadata"]["resourceVersion"],
        "nothing changed, but it was written"
    );
    let less = apply(admin, &own, "me", &one).await;
    assert_eq!(less.unwrap()["data"], json!({"x": "1"}));
    let other = apply(admin, &own, "you", &object(json!({"x": "2"}))).await;
    assert_eq!(other.unwrap_err().code, 409);
    let stale = admin.replace(&own, &first).await.unwrap_err();
    let wanted = "the object has been modified";
    assert!(stale.message.contains(wanted), "{stale}");
    let again = admin.create(base, &object(json!({}))).await;
    assert_eq!(again.unwrap_err().reason, "AlreadyExists");
    let typo =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "dat": {}});
    let strict = format!("{base}?fieldValidation=Strict");
    let strict = admin.create(&strict, &typo).await.unwrap_err();
    assert!(strict.message.contains("unknown field \"dat\""), "{strict}");
    admin.delete(&own).await.unwrap();

    for kind in ["ADDED", "MODIFIED", "DELETED"] {
        let event = tokio::time::timeout(Duration::from_secs(5), watch.next());
        let event = event.await.unwrap().unwrap();
        assert_eq!(event["type"], kind);
        assert_eq!(event["object"]["metadata"]["name"], "a");
    }
}

async fn check_tokens(cluster: &Cluster, admin: &Client) {
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    admin.create(secrets, &token_secret()).await.unwrap();
    let kubeconfig = cluster.kubeconfig("", &json!({}));
    let info = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": kubeconfig}});
    let public = "/api/v1/namespaces/kube-public/configmaps";
    admin.create(public, &info).await.unwrap();
    let signed = until("cluster-info signed", 10, async || {
        let info = admin.get(&format!("{public}/cluster-info")).await.ok()?;
        let signature = info["data"]["jws-kubeconfig-abcdef"].as_str();
        signature.map(str::to_owned)
    })
    .await;
    assert_eq!(Some(signed), jws(TOKEN.0, TOKEN.1, &kubeconfig));

    let token = cluster.client_with_token(&format!("{}.{}", TOKEN.0, TOKEN.1));
    until("the token known", 5, async || token.get("/api").await.ok()).await;
    let denied = token.get(secrets).await.unwrap_err();
    assert_eq!(
        denied.message,
        "secrets is forbidden: User \"system:bootstrap:abcdef\" cannot list resource \"secrets\" in API group \"\" in the namespace \"kube-system\""
    );

    // One that is out of date is neither taken nor kept.
    let mut old = token_secret();
    old["metadata"]["name"] = "bootstrap-token-aaaaaa".into();
    old["data"]["token-id"] = base64(b"aaaaaa").into();
    old["data"]["expiration"] = base64(b"2020-01-01T00:00:00Z").into();
    admin.create(secrets, &old).await.unwrap();
    gone(admin, &format!("{secrets}/bootstrap-token-aaaaaa")).await;
    assert_eq!(secret_text(&token_secret(), "token-id"), "abcdef");
}

async fn join(cluster: &Cluster, admin: &Client) -> (Running, Host) {
    let worker = host(cluster.root.path(), "w1");
    let token = json!({"token": format!("{}.{}", TOKEN.0, TOKEN.1)});
    let conf = worker.path("kubelet.conf");
    let bootstrap = worker.path("bootstrap-kubelet.conf");
    let kubeconfig = cluster.kubeconfig("tls-bootstrap-token-user", &token);
    write(&bootstrap, &kubeconfig);
    let running = kubelet(
        &worker,
        &cluster.ca,
        &[
            &format!("--kubeconfig={conf}"),
            &format!("--bootstrap-kubeconfig={bootstrap}"),
            "--register-with-taints=dedicated=x:NoSchedule",
        ],
    );
    ready(admin, "w1").await;
    let node = admin.get("/api/v1/nodes/w1").await.unwrap();
    assert!(items(&node, "/spec/taints").any(|t| t["key"] == "dedicated"));
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "w1");
    let range = node["spec"]["podCIDR"].as_str().unwrap();
    assert!(range.starts_with("10.244."), "{range}");
    let written = fs::read_to_string(&conf).unwrap();
    assert!(written.contains("kubelet-client-current.pem"));
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/w1";
    let lease = admin.get(lease).await.unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "w1");
    // A node sees its own things only.
    let own = Client::new(&Kubeconfig::load(&conf).unwrap()).unwrap();
    assert!(own.get("/api/v1/nodes/w1").await.is_ok());
    for other in [
        "/api/v1/nodes/cp1",
        "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef",
    ] {
        assert_eq!(own.get(other).await.unwrap_err().code, 403, "{other}");
    }
    let label = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}});
    let denied = own
        .patch("/api/v1/nodes/w1", MERGE, &label)
        .await
        .unwrap_err();
    let wanted = "is not allowed to modify labels";
    assert!(denied.message.contains(wanted), "{denied}");
    (running, worker)
}

async fn check_workloads(admin: &Client) {
    let proxy = json!({"config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: iptables\n", "kubeconfig.conf": "kind: Config"});
    let corefile =
        json!({"Corefile": ".:53 {\n    errors\n    health {\n       lameduck 5s\n    }\n}\n"});
    for (name, data) in [("kube-proxy", proxy), ("coredns", corefile)] {
        let mut object =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let base = "/api/v1/namespaces/kube-system";
        let path = format!("{base}/serviceaccounts/{name}");
        apply(admin, &path, "me", &object).await.unwrap();
        object["kind"] = "ConfigMap".into();
        object["data"] = data;
        let path = format!("{base}/configmaps/{name}");
        apply(admin, &path, "me", &object).await.unwrap();
    }
    let object = |kind: &str, name: &str, image: &str, more: Value| {
        let labels = json!({"k8s-app": name});
        let mut spec = json!({"selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
               "spec": {"serviceAccountName": name, "hostNetwork": kind == "DaemonSet", "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}],
                        "containers": [{"name": name, "image": image, "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}]}],
                        "volumes": [{"name": "config", "configMap": {"name": name}}]}}});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-system"}, "spec": spec})
    };
    let image = "registry.k8s.io/kube-proxy:v1.36.2";
    let set = object("DaemonSet", "kube-proxy", image, json!({}));
    let proxies = format!("{APPS}/daemonsets/kube-proxy");
    apply(admin, &proxies, "me", &set).await.unwrap();
    let image = "registry.k8s.io/coredns/coredns:v1.14.2";
    let deployment = object("Deployment", "coredns", image, json!({"replicas": 2}));
    let coredns = format!("{APPS}/deployments/coredns");
    apply(admin, &coredns, "me", &deployment).await.unwrap();
    until("kube-proxy on both nodes", 15, async || {
        let set = admin.get(&proxies).await.ok()?;
        (set["status"]["numberReady"] == 2).then_some(())
    })
    .await;
    until("CoreDNS available", 15, async || {
        let deployment = admin.get(&coredns).await.ok()?;
        let ready = deployment["status"]["readyReplicas"] == 2;
        (ready && is_condition(&deployment, "Available")).then_some(())
    })
    .await;
    let pods = "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dcoredns";
    let pods = admin.get(pods).await.unwrap();
    let mut nodes: Vec<&str> = items(&pods, "/items")
        .map(|p| p["spec"]["nodeName"].as_str().unwrap())
        .collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["cp1", "w1"], "spread over the nodes");
    // Everything that was applied may be applied again without a write.
    let generation = async || admin.get(&coredns).await.unwrap()["metadata"]["generation"].clone();
    let before = generation().await;
    apply(admin, &coredns, "me", &deployment).await.unwrap();
    assert_eq!(before, generation().await);
}
