//! What the operator's settings do to what is rendered.

use std::fs;
use std::path::Path;

use clusterctl::inventory::spec::{EnvVar, HostPathMount};
use clusterctl::inventory::{Arg, Role};
use clusterctl::kubernetes::{KubernetesError, ObjectGroup, Patches, Templates};
use serde_json::{Value, json};

use super::fixture::{Fixture, args, tree, yaml};

fn command(manifest: &str) -> Vec<String> {
    let pod = yaml(manifest);
    let words = pod["spec"]["containers"][0]["command"].as_array().unwrap();
    words
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

fn container(manifest: &str) -> Value {
    yaml(manifest)["spec"]["containers"][0].take()
}

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn arguments_replace_all_defaults_of_their_name_and_keep_their_order() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.scheduler.extra_args = args([
        "v=4",
        "leader-elect=false",
        "feature-gates=B=true",
        "feature-gates=A=true",
    ]);
    assert_eq!(
        command(&fixture.manifest("kube-scheduler")),
        [
            "kube-scheduler",
            "--authentication-kubeconfig=/etc/kubernetes/scheduler.conf",
            "--authorization-kubeconfig=/etc/kubernetes/scheduler.conf",
            "--bind-address=127.0.0.1",
            "--kubeconfig=/etc/kubernetes/scheduler.conf",
            "--v=4",
            "--leader-elect=false",
            "--feature-gates=B=true",
            "--feature-gates=A=true",
        ]
    );
}

#[test]
fn arguments_keep_whatever_characters_they_have() {
    let mut fixture = Fixture::new(36);
    let odd = "a: b # c \"d\" 'e' {{ f }} \\ \t é";
    fixture.cluster.api_server.extra_args = vec![Arg {
        name: "odd".into(),
        value: odd.into(),
    }];
    let last = command(&fixture.manifest("kube-apiserver")).pop().unwrap();
    assert_eq!(last, format!("--odd={odd}"));
}

#[test]
fn an_authorization_config_takes_the_modes_away() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.api_server.extra_args =
        args(["authorization-config=/etc/kubernetes/authz.yaml"]);
    let command = command(&fixture.manifest("kube-apiserver"));
    assert!(
        !command
            .iter()
            .any(|word| word.starts_with("--authorization-mode"))
    );
    assert_eq!(
        command.last().unwrap(),
        "--authorization-config=/etc/kubernetes/authz.yaml"
    );
}

#[test]
fn where_etcd_says_it_is_the_api_server_looks() {
    let mut fixture = Fixture::new(36);
    fixture.etcd().extra_args = args(["advertise-client-urls=https://192.0.2.99:2379"]);
    let apiserver = command(&fixture.manifest("kube-apiserver"));
    assert!(apiserver.contains(&"--etcd-servers=https://192.0.2.99:2379".into()));
    let etcd = command(&fixture.manifest("etcd"));
    assert_eq!(
        etcd.last().unwrap(),
        "--advertise-client-urls=https://192.0.2.99:2379"
    );
}

#[test]
fn probes_follow_addresses_and_ports() {
    let probed = |component: &str, change: &dyn Fn(&mut Fixture)| {
        let mut fixture = Fixture::new(36);
        change(&mut fixture);
        let container = container(&fixture.manifest(component));
        let get = &container["livenessProbe"]["httpGet"];
        json!([
            get["host"],
            get["scheme"],
            container["ports"][0]["containerPort"]
        ])
    };
    let manager = |words: [&'static str; 2]| {
        probed("kube-controller-manager", &move |fixture| {
            fixture.cluster.controller_manager.extra_args = args(words);
        })
    };
    assert_eq!(
        manager(["bind-address=192.0.2.11", "secure-port=444"]),
        json!(["192.0.2.11", "HTTPS", 444])
    );
    assert_eq!(
        manager(["bind-address=0.0.0.0", "v=1"]),
        json!([null, "HTTPS", 10257])
    );
    assert_eq!(
        manager(["bind-address=::", "secure-port=x"]),
        json!([null, "HTTPS", 10257])
    );
    let etcd = |urls: &'static str| {
        probed("etcd", &move |fixture| {
            fixture.etcd().extra_args = vec![Arg {
                name: "listen-metrics-urls".into(),
                value: urls.into(),
            }];
        })
    };
    assert_eq!(
        etcd("https://192.0.2.11:9999,http://127.0.0.1:1"),
        json!(["192.0.2.11", "HTTPS", 9999])
    );
    assert_eq!(etcd("http://[::1]:2381"), json!(["::1", "HTTP", 2381]));
    assert_eq!(etcd("http://[::1]"), json!(["::1", "HTTP", 2381]));
    assert_eq!(etcd("http://0.0.0.0:2000/"), json!([null, "HTTP", 2000]));
    assert_eq!(etcd("nonsense"), json!(["127.0.0.1", "HTTP", 2381]));
}

#[test]
fn the_startup_probe_gives_the_whole_timeout() {
    let mut fixture = Fixture::new(36);
    fixture
        .cluster
        .timeouts
        .control_plane_component_health_check = std::time::Duration::from_secs(301);
    let container = container(&fixture.manifest("kube-scheduler"));
    assert_eq!(container["startupProbe"]["failureThreshold"], 31);
}

#[test]
fn before_1_34_probes_name_the_port_by_number() {
    let container = container(&Fixture::new(33).manifest("kube-scheduler"));
    assert_eq!(container["livenessProbe"]["httpGet"]["port"], 10259);
    assert_eq!(container.get("ports"), None);
}

#[test]
fn volumes_of_a_known_name_replace_it() {
    let mut fixture = Fixture::new(36);
    let volume = |name: &str, path: &str, read_only, kind: Option<&str>| HostPathMount {
        name: name.into(),
        host_path: path.into(),
        mount_path: format!("/in{path}"),
        read_only,
        path_type: kind.map(str::to_owned),
    };
    fixture.cluster.api_server.extra_volumes = vec![
        volume("audit", "/var/log/audit", false, Some("DirectoryOrCreate")),
        volume("ca-certs", "/opt/certs", true, None),
    ];
    let pod = yaml(&fixture.manifest("kube-apiserver"));
    let names: Vec<_> = pod["spec"]["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "audit",
            "ca-certs",
            "etc-ca-certificates",
            "k8s-certs",
            "usr-local-share-ca-certificates",
            "usr-share-ca-certificates",
        ]
    );
    assert_eq!(
        pod["spec"]["volumes"][0],
        json!({
            "hostPath": {"path": "/var/log/audit", "type": "DirectoryOrCreate"}, "name": "audit",
        })
    );
    assert_eq!(
        pod["spec"]["volumes"][1]["hostPath"],
        json!({"path": "/opt/certs", "type": ""})
    );
    let mounts = &pod["spec"]["containers"][0]["volumeMounts"];
    assert_eq!(
        mounts[0],
        json!({"mountPath": "/in/var/log/audit", "name": "audit"})
    );
    assert_eq!(
        mounts[1],
        json!({"mountPath": "/in/opt/certs", "name": "ca-certs", "readOnly": true})
    );
    assert_eq!(mounts.as_array().unwrap().len(), names.len());
}

#[test]
fn proxies_come_first_and_the_operators_variables_win() {
    let mut fixture = Fixture::new(36);
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    fixture.facts("cp1").proxy_env = vec![
        variable("https_proxy", "http://proxy"),
        variable("NO_PROXY", "10.0.0.0/8"),
        variable("PATH", "/bin"),
        variable("http_proxy", ""),
        // Others can read what is in a pod's environment.
        variable("all_proxy", "http://user:secret@proxy"),
    ];
    let env = EnvVar {
        name: "NO_PROXY".into(),
        value: "*".into(),
    };
    fixture.cluster.controller_manager.extra_envs = vec![env.clone()];
    fixture.etcd().extra_envs = vec![env];
    let env = |component: &str| container(&fixture.manifest(component))["env"].take();
    let proxy = json!({"name": "https_proxy", "value": "http://proxy"});
    assert_eq!(
        env("kube-apiserver"),
        json!([{"name": "NO_PROXY", "value": "10.0.0.0/8"}, proxy])
    );
    assert_eq!(
        env("kube-controller-manager"),
        json!([{"name": "NO_PROXY", "value": "*"}, proxy])
    );
    assert_eq!(env("etcd"), json!([{"name": "NO_PROXY", "value": "*"}]));
    let daemon_set = fixture.object("DaemonSet", "kube-proxy");
    let env = &daemon_set["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(env[0]["name"], "NODE_NAME");
    assert_eq!(env[2], proxy);
}

#[test]
fn an_external_ca_leaves_the_signing_flags_empty() {
    let mut fixture = Fixture::new(36);
    fixture.external_ca = true;
    let command = command(&fixture.manifest("kube-controller-manager"));
    assert!(command.contains(&"--cluster-signing-cert-file=".into()));
    assert!(command.contains(&"--cluster-signing-key-file=".into()));
}

#[test]
fn etcds_flags_follow_its_image() {
    let mut fixture = Fixture::new(36);
    fixture.etcd().image_tag = Some("3.5.24-0".into());
    let old = command(&fixture.manifest("etcd"));
    assert!(old.contains(&"--experimental-initial-corrupt-check=true".into()));
    assert!(!old.iter().any(|word| word.starts_with("--feature-gates")));
}

#[test]
fn flex_volumes_move_with_their_argument() {
    let mut fixture = Fixture::new(35);
    fixture.cluster.controller_manager.extra_args = args(["flex-volume-plugin-dir=/opt/flex"]);
    let pod = yaml(&fixture.manifest("kube-controller-manager"));
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let flex = volumes
        .iter()
        .find(|volume| volume["name"] == "flexvolume-dir")
        .unwrap();
    assert_eq!(flex["hostPath"]["path"], "/opt/flex");
}

#[test]
fn patches_reach_every_target() {
    let directory = directory(&[
        ("etcd+merge.yaml", "metadata: {labels: {tier: null}}\n"),
        (
            "kube-apiserver0.yaml",
            "spec: {containers: [{name: kube-apiserver, resources: {limits: {cpu: '2'}}}]}\n",
        ),
        (
            "kube-apiserver1+json.json",
            r#"[{"op": "add", "path": "/spec/containers/0/command/-", "value": "--v=9"}]"#,
        ),
        (
            "kubeletconfiguration.yaml",
            "maxPods: 250\nhealthzPort: null\n",
        ),
        ("corednsdeployment.yaml", "spec: {replicas: 3}\n"),
    ]);
    let mut fixture = Fixture::new(36);
    fixture.patches = Patches::load(Some(directory.path())).unwrap();
    assert_eq!(
        yaml(&fixture.manifest("etcd"))["metadata"]["labels"],
        json!({"component": "etcd"})
    );
    let apiserver = fixture.manifest("kube-apiserver");
    assert_eq!(
        container(&apiserver)["resources"],
        json!({"requests": {"cpu": "250m"}, "limits": {"cpu": "2"}})
    );
    assert_eq!(command(&apiserver).last().unwrap(), "--v=9");
    let kubelet = yaml(&fixture.text("cp1", "/var/lib/kubelet/config.yaml"));
    assert_eq!(kubelet["maxPods"], 250);
    assert_eq!(kubelet.get("healthzPort"), None);
    assert_eq!(
        fixture.object("Deployment", "coredns")["spec"]["replicas"],
        3
    );
    // The cluster's own configuration stays as it is: patches are a host's.
    let shared = fixture.object("ConfigMap", "kubelet-config");
    assert!(
        !shared["data"]["kubelet"]
            .as_str()
            .unwrap()
            .contains("maxPods")
    );
}

#[test]
fn a_template_of_the_operators_replaces_ours_and_still_gets_his_arguments() {
    let directory = directory(&[(
        "manifests/kube-scheduler.yaml.j2",
        "# of my own\nspec:\n  containers:\n  - name: mine\n    command: [scheduler, --z=1, '--a={{ host.nodeName }}']\n",
    )]);
    let mut fixture = Fixture::new(36);
    fixture.templates = Templates::load(Some(directory.path())).unwrap();
    fixture.cluster.scheduler.extra_args = args(["v=2"]);
    assert_eq!(
        command(&fixture.manifest("kube-scheduler")),
        ["scheduler", "--a=cp1", "--z=1", "--v=2"]
    );
    assert!(fixture.manifest("etcd").contains("--snapshot-count"));
}

/// What goes wrong with one file in the operator's template directory.
fn template_error(name: &str, text: &str) -> String {
    let directory = directory(&[(name, text)]);
    let shown = |error: KubernetesError| {
        let place = directory.path().to_string_lossy().into_owned();
        error.to_string().replace(&place, "DIR")
    };
    let mut fixture = Fixture::new(36);
    fixture.bootstrap_token = Some("abcdef.0123456789abcdef".parse().unwrap());
    match Templates::load(Some(directory.path())) {
        Err(error) => shown(error),
        Ok(templates) => {
            fixture.templates = templates;
            shown(fixture.resources("cp1").unwrap_err())
        }
    }
}

#[test]
fn faults_in_templates_name_file_and_line() {
    insta::assert_snapshot!(template_error("manifests/etcd.yaml.j2", "a: 1\nb: {{ nothing }}\n"), @"your template `DIR/manifests/etcd.yaml.j2` fails at line 2: undefined value, in `b: {{ nothing }}`");
    insta::assert_snapshot!(template_error("manifests/etcd.yaml.j2", "a: 1\n\n{% if %}\n"), @"your template `DIR/manifests/etcd.yaml.j2` fails at line 3: syntax error: unexpected end of block, in `{% if %}`");
    insta::assert_snapshot!(template_error("manifests/etcd.yaml.j2", "a: [1\n"), @"your template `DIR/manifests/etcd.yaml.j2` does not render to valid YAML: line 1 column 4: unclosed bracket '['");
    insta::assert_snapshot!(template_error("manifests/etcd.yaml.j2", "a: 1\n"), @"your template `DIR/manifests/etcd.yaml.j2` does not render to a Pod: no container has a command");
    insta::assert_snapshot!(template_error("manifests/etcd.yml.j2", ""), @"`DIR/manifests/etcd.yml.j2` does not replace a built-in template");
    insta::assert_snapshot!(template_error("containerd/config.toml.j2", "a = \n"), @"your template `DIR/containerd/config.toml.j2` does not render to valid TOML: string values must be quoted, expected literal string");
}

#[test]
fn files_of_the_operators_see_what_our_templates_see() {
    let fixture = Fixture::new(36);
    let rendered = |text| fixture.render_file(Path::new("/inventory/motd.j2"), text);
    let text = "{{ host.nodeName }} of {{ cluster.name }} on {{ facts.osId }}\n";
    assert_eq!(rendered(text).unwrap(), "cp1 of demo on debian\n");
    insta::assert_snapshot!(rendered("\n{{ facts.nothing }}").unwrap_err(), @"your template `/inventory/motd.j2` fails at line 2: undefined value, in `{{ facts.nothing }}`");
}

#[test]
fn a_missing_template_directory_is_told() {
    let error = Templates::load(Some(Path::new("/nowhere"))).err().unwrap();
    assert_eq!(error.to_string(), "cannot read `/nowhere`");
}

#[test]
fn kube_proxys_fields_are_merged() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.kube_proxy_config =
        tree(json!({"mode": "nftables", "conntrack": {"maxPerCore": 0}}));
    let object = fixture.object("ConfigMap", "kube-proxy");
    assert_eq!(object["metadata"].get("annotations"), None);
    let config = yaml(object["data"]["config.conf"].as_str().unwrap());
    assert_eq!(config["mode"], "nftables");
    assert_eq!(config["conntrack"]["maxPerCore"], 0);
    assert_eq!(config["conntrack"]["tcpBeLiberal"], false);
}

#[test]
fn addons_can_be_left_out() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.dns.disabled = true;
    fixture.cluster.proxy_disabled = true;
    let objects = fixture.objects().unwrap();
    assert!(
        objects
            .iter()
            .all(|(group, _)| !matches!(group, ObjectGroup::CoreDns | ObjectGroup::KubeProxy))
    );
    let config = fixture.object("ConfigMap", "kubeadm-config");
    let config = yaml(config["data"]["ClusterConfiguration"].as_str().unwrap());
    assert_eq!(config["dns"], json!({"disabled": true}));
    assert_eq!(config["proxy"], json!({"disabled": true}));
}

#[test]
fn kubeadm_config_keeps_everything_that_kubeadm_would() {
    let mut fixture = Fixture::new(37);
    let cluster = &mut fixture.cluster;
    cluster.api_server.cert_sans = vec!["api.example.com".into()];
    cluster.api_server.extra_args = args(["v=1"]);
    cluster.api_server.extra_volumes = vec![HostPathMount {
        name: "audit".into(),
        host_path: "/a".into(),
        mount_path: "/b".into(),
        read_only: true,
        path_type: Some("File".into()),
    }];
    cluster.scheduler.extra_envs = vec![EnvVar {
        name: "A".into(),
        value: "1".into(),
    }];
    cluster.dns.image_tag = Some("v9".into());
    cluster.control_plane_endpoint = Some(clusterctl::inventory::Endpoint {
        host: "fd00::1".into(),
        port: 6443,
    });
    cluster.feature_gates = [
        ("NodeLocalCRISocket", true),
        ("RootlessControlPlane", false),
    ]
    .map(|(name, on)| (name.to_owned(), on))
    .into();
    let etcd = fixture.etcd();
    etcd.peer_cert_sans = vec!["peer".into()];
    etcd.image_repository = Some("mirror.example".into());
    let config = fixture.object("ConfigMap", "kubeadm-config");
    insta::assert_snapshot!(config["data"]["ClusterConfiguration"].as_str().unwrap(), @r#"
        apiServer:
          certSANs:
          - api.example.com
          extraArgs:
          - name: v
            value: "1"
          extraVolumes:
          - hostPath: /a
            mountPath: /b
            name: audit
            pathType: File
            readOnly: true
        apiVersion: kubeadm.k8s.io/v1beta4
        caCertificateValidityPeriod: 87600h0m0s
        certificateValidityPeriod: 8760h0m0s
        certificatesDir: /etc/kubernetes/pki
        clusterName: demo
        controlPlaneEndpoint: "[fd00::1]:6443"
        controllerManager: {}
        dns:
          imageTag: v9
        encryptionAlgorithm: ECDSA-P256
        etcd:
          local:
            dataDir: /var/lib/etcd
            imageRepository: mirror.example
            peerCertSANs:
            - peer
        featureGates:
          RootlessControlPlane: false
        imageRepository: registry.k8s.io
        kind: ClusterConfiguration
        kubernetesVersion: v1.37.2
        networking:
          dnsDomain: cluster.local
          podSubnet: 10.244.0.0/16
          serviceSubnet: 10.96.0.0/12
        proxy: {}
        scheduler:
          extraEnvs:
          - name: A
            value: "1"
        "#);
}

#[test]
fn images_follow_their_repositories() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.image_repository = "mirror.example/k8s".into();
    let images = clusterctl::kubernetes::images(&fixture.cluster);
    assert_eq!(
        images.control_plane(),
        [
            "mirror.example/k8s/kube-apiserver:v1.36.2",
            "mirror.example/k8s/kube-controller-manager:v1.36.2",
            "mirror.example/k8s/kube-scheduler:v1.36.2",
            "mirror.example/k8s/kube-proxy:v1.36.2",
            "mirror.example/k8s/coredns:v1.14.2",
            "mirror.example/k8s/pause:3.10.2",
            "mirror.example/k8s/etcd:3.6.8-0",
        ]
    );
    fixture.cluster.dns.image_repository = Some("registry.k8s.io".into());
    fixture.etcd().image_repository = Some("other.example".into());
    let images = clusterctl::kubernetes::images(&fixture.cluster);
    assert_eq!(
        images.coredns.as_deref(),
        Some("registry.k8s.io/coredns/coredns:v1.14.2")
    );
    assert_eq!(images.etcd.as_deref(), Some("other.example/etcd:3.6.8-0"));
}

#[test]
fn addresses_come_from_the_operator_then_ssh_then_the_default_route() {
    let mut fixture = Fixture::new(36);
    let advertised = |fixture: &Fixture| {
        let command = command(&fixture.manifest("kube-apiserver"));
        command[1]
            .strip_prefix("--advertise-address=")
            .unwrap()
            .to_owned()
    };
    assert_eq!(advertised(&fixture), "192.0.2.11");
    // Behind address translation SSH's address is not the host's.
    fixture.cluster.networking.cni = clusterctl::inventory::CniType::None;
    fixture.host("cp1").address = "203.0.113.5".into();
    assert_eq!(advertised(&fixture), "192.0.2.11");
    fixture.host("cp1").address = "cp1.example.com".into();
    assert_eq!(advertised(&fixture), "192.0.2.11");
    fixture.host("cp1").advertise_address = Some("198.51.100.7".parse().unwrap());
    assert_eq!(advertised(&fixture), "198.51.100.7");
    fixture.host("cp1").advertise_address = None;
    fixture.facts("cp1").default_ip = None;
    assert_eq!(advertised(&fixture), "192.0.2.11", "it has no other");
    fixture.facts("cp1").addresses.clear();
    insta::assert_snapshot!(fixture.resources("cp1").unwrap_err(), @"host `cp1` has no address to advertise: its `address` is a name, and it has no default route");
}

#[test]
fn several_control_planes_need_an_endpoint() {
    let fixture = Fixture::new(36).with_host("cp2", "192.0.2.12", Role::ControlPlane);
    let error = fixture.endpoints().unwrap_err();
    insta::assert_snapshot!(error, @"2 control planes need a controlPlaneEndpoint");
    insta::assert_snapshot!(error.hint().unwrap(), @"set controlPlaneEndpoint to a name or address that reaches all of them");
}
