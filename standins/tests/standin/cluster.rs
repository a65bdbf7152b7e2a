//! The stand-ins together: a control plane from static pods, a worker that joins it,
//! and what must be refused on the way.

use std::fs;

use crate::support::{Ca, Cluster, Host, Running, ca, host, kubelet, until, write};
use clusterctl_standins::{
    Client, Kubeconfig, MERGE, base64, is_condition, items, jws, secret_text,
};
use rcgen::ExtendedKeyUsagePurpose as Eku;
use serde_json::{Value, json};

const TOKEN: (&str, &str) = ("abcdef", "0123456789abcdef");

fn token_secret() -> Value {
    let text = |t: &str| base64(t.as_bytes());
    json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
           "metadata": {"name": format!("bootstrap-token-{}", TOKEN.0), "namespace": "kube-system"},
           "data": {"token-id": text(TOKEN.0), "token-secret": text(TOKEN.1), "usage-bootstrap-signing": text("true"),
                    "usage-bootstrap-authentication": text("true"), "auth-extra-groups": text("system:bootstrappers:kubeadm:default-node-token")}})
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
    until("kubeadm:cluster-admins", 5, async || {
        admin.get("/api/v1/nodes").await.ok()
    })
    .await;

    identities(&cluster).await;
    writes(&admin).await;
    ready(&admin, "cp1").await;
    let current = cluster.cp.path("kubelet-pki/kubelet-client-current.pem");
    until("a rotating certificate for cp1", 10, async || {
        fs::metadata(&current).ok()
    })
    .await;
    until("mirror pods", 10, async || {
        let pods = admin
            .get("/api/v1/namespaces/kube-system/pods?labelSelector=tier%3Dcontrol-plane")
            .await
            .ok()?;
        let running = items(&pods, "/items")
            .filter(|p| {
                is_condition(p, "Ready")
                    && p["metadata"]["annotations"]["kubernetes.io/config.hash"].is_string()
            })
            .count();
        (running == 4).then_some(())
    })
    .await;

    tokens(&cluster, &admin).await;
    let worker = join(&cluster, &admin).await;
    workloads(&admin).await;

    // A pod whose image no host has stays where it is, with the usual reason.
    admin.patch("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy", MERGE,
        &json!({"spec": {"template": {"spec": {"containers": [{"name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v9"}]}}}})).await.unwrap();
    until("ErrImagePull", 10, async || {
        let pods = admin
            .get("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-proxy")
            .await
            .ok()?;
        items(&pods, "/items")
            .any(|p| {
                p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull"
            })
            .then_some(())
    })
    .await;

    // A static pod goes with its manifest, and its mirror with it.
    fs::remove_file(cluster.cp.path("manifests/kube-scheduler.yaml")).unwrap();
    until("the scheduler's mirror gone", 10, async || {
        admin
            .get("/api/v1/namespaces/kube-system/pods/kube-scheduler-cp1")
            .await
            .err()
            .filter(|e| e.code == 404)
    })
    .await;
    drop(worker);
}

async fn identities(cluster: &Cluster) {
    let strange = ca("kubernetes");
    let masters = |ca: &Ca, usages: &[Eku]| cluster.client_as(ca, "me", "system:masters", usages);
    assert_eq!(
        masters(&strange, &[Eku::ClientAuth])
            .get("/api")
            .await
            .unwrap_err()
            .code,
        401,
        "another CA"
    );
    assert_eq!(
        masters(&cluster.ca, &[Eku::ServerAuth])
            .get("/api")
            .await
            .unwrap_err()
            .code,
        401,
        "no client usage"
    );
    assert!(
        masters(&cluster.ca, &[Eku::ClientAuth])
            .get("/api")
            .await
            .is_ok()
    );
    assert_eq!(
        cluster
            .client_with_token("abcdef.ffffffffffffffff")
            .get("/api")
            .await
            .unwrap_err()
            .code,
        401,
        "unknown token"
    );
    // Nobody at all may ask how it goes, and no more.
    let nobody = cluster.client_with_token("");
    assert!(nobody.get("/livez").await.is_ok());
    assert!(nobody.get("/version").await.unwrap()["gitVersion"].is_string());
    let denied = nobody
        .get("/api/v1/namespaces/kube-public/configmaps/cluster-info")
        .await
        .unwrap_err();
    assert!(
        denied.message.starts_with(
            "configmaps \"cluster-info\" is forbidden: User \"system:anonymous\" cannot get"
        ),
        "{denied}"
    );
    // A server with another CA's certificate is not spoken to.
    let mut config = Kubeconfig::load(&cluster.cp.path("admin.conf")).unwrap();
    config.ca = strange.pem.into_bytes();
    let refused = Client::new(&config).unwrap().get("/api").await.unwrap_err();
    assert_eq!(refused.code, 0);
    assert!(refused.message.contains("certificate"), "{refused}");
}

async fn writes(admin: &Client) {
    let base = "/api/v1/namespaces/default/configmaps";
    let object = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let list = admin.get(base).await.unwrap();
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = admin
        .watch(&format!(
            "{base}?watch=true&resourceVersion={revision}&fieldSelector=metadata.name%3Da"
        ))
        .await
        .unwrap();

    let apply = "application/apply-patch+yaml";
    let dry = admin
        .patch(
            &format!("{base}/a?fieldManager=me&dryRun=All"),
            apply,
            &object(json!({"x": "1"})),
        )
        .await
        .unwrap();
    assert_eq!(dry["data"]["x"], "1");
    assert_eq!(
        admin.get(&format!("{base}/a")).await.unwrap_err().code,
        404,
        "a dry run wrote"
    );
    let first = admin
        .patch(
            &format!("{base}/a?fieldManager=me"),
            apply,
            &object(json!({"x": "1", "y": "2"})),
        )
        .await
        .unwrap();
    let same = admin
        .patch(
            &format!("{base}/a?fieldManager=me"),
            apply,
            &object(json!({"x": "1", "y": "2"})),
        )
        .await
        .unwrap();
    assert_eq!(
        first["metadata"]["resourceVersion"], same["metadata"]["resourceVersion"],
        "nothing changed, but it was written"
    );
    let less = admin
        .patch(
            &format!("{base}/a?fieldManager=me"),
            apply,
            &object(json!({"x": "1"})),
        )
        .await
        .unwrap();
    assert_eq!(less["data"], json!({"x": "1"}));
    let conflict = admin
        .patch(
            &format!("{base}/a?fieldManager=you"),
            apply,
            &object(json!({"x": "2"})),
        )
        .await
        .unwrap_err();
    assert_eq!(conflict.code, 409);
    let stale = admin
        .replace(&format!("{base}/a"), &first)
        .await
        .unwrap_err();
    assert!(
        stale.message.contains("the object has been modified"),
        "{stale}"
    );
    assert_eq!(
        admin
            .create(base, &object(json!({})))
            .await
            .unwrap_err()
            .reason,
        "AlreadyExists"
    );
    let typo =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "dat": {}});
    let strict = admin
        .create(&format!("{base}?fieldValidation=Strict"), &typo)
        .await
        .unwrap_err();
    assert!(strict.message.contains("unknown field \"dat\""), "{strict}");
    admin.delete(&format!("{base}/a")).await.unwrap();

    for kind in ["ADDED", "MODIFIED", "DELETED"] {
        let event = tokio::time::timeout(std::time::Duration::from_secs(5), watch.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(event["type"], kind);
        assert_eq!(event["object"]["metadata"]["name"], "a");
    }
}

async fn tokens(cluster: &Cluster, admin: &Client) {
    admin
        .create("/api/v1/namespaces/kube-system/secrets", &token_secret())
        .await
        .unwrap();
    let kubeconfig = cluster.kubeconfig("", &json!({}));
    let info = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": kubeconfig}});
    admin
        .create("/api/v1/namespaces/kube-public/configmaps", &info)
        .await
        .unwrap();
    let signed = until("cluster-info signed", 10, async || {
        let info = admin
            .get("/api/v1/namespaces/kube-public/configmaps/cluster-info")
            .await
            .ok()?;
        info["data"]["jws-kubeconfig-abcdef"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    assert_eq!(Some(signed), jws(TOKEN.0, TOKEN.1, &kubeconfig));

    let token = cluster.client_with_token(&format!("{}.{}", TOKEN.0, TOKEN.1));
    until("the token known", 5, async || token.get("/api").await.ok()).await;
    let denied = token
        .get("/api/v1/namespaces/kube-system/secrets")
        .await
        .unwrap_err();
    assert_eq!(
        denied.message,
        "secrets is forbidden: User \"system:bootstrap:abcdef\" cannot list resource \"secrets\" in API group \"\" in the namespace \"kube-system\""
    );

    // One that is out of date is neither taken nor kept.
    let mut old = token_secret();
    old["metadata"]["name"] = "bootstrap-token-aaaaaa".into();
    old["data"]["token-id"] = base64(b"aaaaaa").into();
    old["data"]["expiration"] = base64(b"2020-01-01T00:00:00Z").into();
    admin
        .create("/api/v1/namespaces/kube-system/secrets", &old)
        .await
        .unwrap();
    until("the old token gone", 10, async || {
        admin
            .get("/api/v1/namespaces/kube-system/secrets/bootstrap-token-aaaaaa")
            .await
            .err()
            .filter(|e| e.code == 404)
    })
    .await;
    assert_eq!(secret_text(&token_secret(), "token-id"), "abcdef");
}

async fn join(cluster: &Cluster, admin: &Client) -> (Running, Host) {
    let worker = host(cluster.root.path(), "w1");
    let token = format!("{}.{}", TOKEN.0, TOKEN.1);
    write(
        worker.path("bootstrap-kubelet.conf"),
        &cluster.kubeconfig("tls-bootstrap-token-user", &json!({"token": token})),
    );
    let (conf, bootstrap) = (
        worker.path("kubelet.conf"),
        worker.path("bootstrap-kubelet.conf"),
    );
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
    assert!(
        node["spec"]["podCIDR"]
            .as_str()
            .unwrap()
            .starts_with("10.244.")
    );
    assert!(
        fs::read_to_string(&conf)
            .unwrap()
            .contains("kubelet-client-current.pem")
    );
    let lease = admin
        .get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/w1")
        .await
        .unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "w1");
    // A node sees its own things only.
    let own = Client::new(&Kubeconfig::load(&conf).unwrap()).unwrap();
    assert!(own.get("/api/v1/nodes/w1").await.is_ok());
    assert_eq!(own.get("/api/v1/nodes/cp1").await.unwrap_err().code, 403);
    assert_eq!(
        own.get("/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef")
            .await
            .unwrap_err()
            .code,
        403
    );
    let label = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}});
    let denied = own
        .patch("/api/v1/nodes/w1", MERGE, &label)
        .await
        .unwrap_err();
    assert!(
        denied.message.contains("is not allowed to modify labels"),
        "{denied}"
    );
    (running, worker)
}

async fn workloads(admin: &Client) {
    let apply = "application/apply-patch+yaml";
    for account in ["kube-proxy", "coredns"] {
        let object =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}});
        admin
            .patch(
                &format!(
                    "/api/v1/namespaces/kube-system/serviceaccounts/{account}?fieldManager=me"
                ),
                apply,
                &object,
            )
            .await
            .unwrap();
    }
    for (name, data) in [
        (
            "kube-proxy",
            json!({"config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: iptables\n", "kubeconfig.conf": "kind: Config"}),
        ),
        (
            "coredns",
            json!({"Corefile": ".:53 {\n    errors\n    health {\n       lameduck 5s\n    }\n}\n"}),
        ),
    ] {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        admin
            .patch(
                &format!("/api/v1/namespaces/kube-system/configmaps/{name}?fieldManager=me"),
                apply,
                &object,
            )
            .await
            .unwrap();
    }
    let template = |name: &str, image: &str, host: bool| {
        json!({"metadata": {"labels": {"k8s-app": name}},
               "spec": {"serviceAccountName": name, "hostNetwork": host, "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}],
                        "containers": [{"name": name, "image": image, "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}]}],
                        "volumes": [{"name": "config", "configMap": {"name": name}}]}})
    };
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-system"}, "spec": spec});
    let set = object(
        "DaemonSet",
        "kube-proxy",
        json!({"selector": {"matchLabels": {"k8s-app": "kube-proxy"}}, "template": template("kube-proxy", "registry.k8s.io/kube-proxy:v1.36.2", true)}),
    );
    admin
        .patch(
            "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy?fieldManager=me",
            apply,
            &set,
        )
        .await
        .unwrap();
    let deployment = object(
        "Deployment",
        "coredns",
        json!({"replicas": 2, "selector": {"matchLabels": {"k8s-app": "coredns"}}, "template": template("coredns", "registry.k8s.io/coredns/coredns:v1.14.2", false)}),
    );
    admin
        .patch(
            "/apis/apps/v1/namespaces/kube-system/deployments/coredns?fieldManager=me",
            apply,
            &deployment,
        )
        .await
        .unwrap();
    until("kube-proxy on both nodes", 15, async || {
        let set = admin
            .get("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy")
            .await
            .ok()?;
        (set["status"]["numberReady"] == 2).then_some(())
    })
    .await;
    until("CoreDNS available", 15, async || {
        let deployment = admin
            .get("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
            .await
            .ok()?;
        (deployment["status"]["readyReplicas"] == 2 && is_condition(&deployment, "Available"))
            .then_some(())
    })
    .await;
    let pods = admin
        .get("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dcoredns")
        .await
        .unwrap();
    let mut nodes: Vec<&str> = items(&pods, "/items")
        .map(|p| p["spec"]["nodeName"].as_str().unwrap())
        .collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["cp1", "w1"], "spread over the nodes");
    // Everything that was applied may be applied again without a write.
    let before = admin
        .get("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
        .await
        .unwrap();
    admin
        .patch(
            "/apis/apps/v1/namespaces/kube-system/deployments/coredns?fieldManager=me",
            apply,
            &deployment,
        )
        .await
        .unwrap();
    let after = admin
        .get("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
        .await
        .unwrap();
    assert_eq!(
        before["metadata"]["generation"],
        after["metadata"]["generation"]
    );
}
