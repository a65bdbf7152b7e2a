//! What others have set on hosts and in the cluster stays.

use std::process::Command;

use serde_json::json;

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::scenario;

/// A containerd with a life of its own: a disk for its data, a runtime, and a container that
/// needs no image.
const OWN: &str = r#"
mkdir -p /data/containerd /srv/rootfs/bin
cp /bin/sleep /srv/rootfs/bin/
for library in $(ldd /bin/sleep | grep -o '/[^ ]*'); do
    mkdir -p "/srv/rootfs${library%/*}"
    cp -L "$library" "/srv/rootfs$library"
done
mkdir -p /etc/containerd
cat >/etc/containerd/config.toml <<'END'
# by hand
version = 2
root = "/data/containerd" # a disk of its own

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.gpu]
  runtime_type = "io.containerd.runc.v2"
END
sha256sum /etc/containerd/config.toml >/root/own.sum
systemctl restart containerd
ctr run -d --rootfs /srv/rootfs web /bin/sleep 100000
"#;

/// A way out for programs of root's; systemd's services don't see it.
const PROXY: &str = "echo https_proxy=http://me:hush@127.0.0.1:3128 >>/etc/environment";

#[test]
fn a_containerd_of_the_hosts_own_keeps_its_settings_and_its_container() {
    let components = Components::find();
    let lab = Lab::up('w', 2);
    let operator = Operator::new(&components);
    let mut inventory = lab.inventory(&components);
    operator.write_inventory(&inventory);
    let (first, second) = (lab.name(1), lab.name(2));
    let config = |host: &str| lab.sh(host, "cat /etc/containerd/config.toml");
    let container = || lab.sh(&second, "ctr tasks ls -q; pgrep -f 'sleep 100000'");

    scenario("settings", "a host whose containerd has work of its own");
    lab.sh(&second, OWN);
    lab.sh(&second, PROXY);
    let before = container();
    let plan = operator.run(&["plan"]).exits(0).stdout;
    assert!(!plan.contains("hush"), "{plan}");
    assert!(plan.contains("root = \"/data/containerd\" # a disk of its own"));
    assert!(!plan.contains("-root"), "{plan}");
    operator.run(&["apply", "--yes"]).exits(0);
    let text = config(&second);
    for kept in [
        "# by hand",
        "root = \"/data/containerd\"",
        "runtimes.gpu]",
        "conf.d/*.toml",
    ] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert_eq!(container(), before, "it keeps running");
    operator.run(&["apply", "--assert-noop"]).exits(0);

    scenario(
        "settings",
        "a proxy with a password reaches containerd alone",
    );
    let drop_in = "/etc/systemd/system/containerd.service.d/50-clusterctl-proxy.conf";
    lab.sh(
        &second,
        &format!("test \"$(stat -c %a {drop_in})\" = 600 && grep -q 10.96.0.0/12 {drop_in}"),
    );
    let environment = "tr '\\0' '\\n' </proc/$(pidof containerd)/environ";
    let environment = lab.sh(&second, environment);
    assert!(environment.contains("me:hush@"), "{environment}");
    let cluster = inventory["metadata"]["name"].as_str().unwrap().to_owned();
    let kept = operator.state(&cluster, "runs");
    let found = Command::new("grep").args(["-r", "hush"]).arg(kept).output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");

    scenario(
        "settings",
        "a runtime that is added later, and drift in what is ours",
    );
    let added = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.later]\n\
                 runtime_type = \"io.containerd.runc.v2\"\n";
    for host in [&first, &second] {
        let name = match config(host).contains("io.containerd.cri.v1.runtime") {
            true => added.replace("grpc.v1.cri", "cri.v1.runtime"),
            false => added.to_owned(),
        };
        lab.sh(
            host,
            &format!("printf '\\n%s' '{name}' >>/etc/containerd/config.toml"),
        );
    }
    operator.run(&["apply", "--assert-noop"]).exits(0);
    lab.sh(
        &second,
        "sed -i 's|^\\( *sandbox_image\\) = .*|\\1 = \"other\"|' /etc/containerd/config.toml",
    );
    operator.run(&["apply", "--yes"]).exits(0);
    let text = config(&second);
    assert!(
        text.contains("runtimes.later]") && !text.contains("\"other\""),
        "{text}"
    );
    assert_eq!(container(), before);

    scenario(
        "settings",
        "a configuration that can't be kept is refused, with what would be lost",
    );
    lab.sh(
        &second,
        "cp /etc/containerd/config.toml /root/kept; echo 'root =' >>/etc/containerd/config.toml",
    );
    let refused = operator.run(&["plan"]).exits(5);
    assert!(
        refused.stderr.contains("ContainerdConfig"),
        "{}",
        refused.stderr
    );
    lab.sh(&second, "cp /root/kept /etc/containerd/config.toml");

    scenario("settings", "a file that the API server mounts restarts it");
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n";
    let source = operator.write_private("policy.yaml", policy);
    let spec = &mut inventory["spec"];
    spec["files"] = json!([{"source": source, "destination": "/etc/audit/policy.yaml"}]);
    spec["apiServer"]["extraArgs"] =
        json!([{"name": "audit-policy-file", "value": "/etc/audit/policy.yaml"}]);
    spec["apiServer"]["extraVolumes"] = json!([{"name": "audit", "hostPath": "/etc/audit",
        "mountPath": "/etc/audit", "readOnly": true, "pathType": "DirectoryOrCreate"}]);
    operator.write_inventory(&inventory);
    operator.run(&["apply", "--yes"]).exits(0);
    operator.write_private("policy.yaml", &policy.replace("None", "Metadata"));
    let plan = operator.run(&["plan"]).exits(0).stdout;
    assert!(plan.contains("restart static pod kube-apiserver"), "{plan}");
    operator.run(&["apply", "--yes"]).exits(0);
    operator.run(&["apply", "--assert-noop"]).exits(0);

    scenario(
        "settings",
        "a Corefile that was edited in the cluster stays",
    );
    let edited = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "coredns", "namespace": "kube-system"},
        "data": {"Corefile": ".:53 {\n    whoami\n}\n"}});
    let file = operator.write_private("corefile.json", &edited.to_string());
    let file = file.to_str().unwrap();
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", file];
    operator.kubectl(&cluster, &apply);
    operator
        .run(&["apply", "--assert-noop"])
        .exits(0)
        .says(&["Corefile"]);
    inventory["spec"]["apiServer"]["extraArgs"][0]["value"] = json!("/etc/audit/./policy.yaml");
    operator.write_inventory(&inventory);
    operator.run(&["apply", "--yes"]).exits(0);
    let path = "/api/v1/namespaces/kube-system/configmaps/coredns";
    let found = operator.get_json(&cluster, path);
    assert_eq!(found["data"], edited["data"], "{found}");

    scenario("settings", "a reset gives the host its own file back");
    operator.run(&["reset", &second, "--yes"]).exits(0);
    lab.sh(&second, "sha256sum -c /root/own.sum");
    assert_eq!(container(), before);
}
