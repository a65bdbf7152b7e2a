//! `artifacts fetch` from a mirror, and mirrors that are refused before they are asked.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::typist::Typist;

/// What a mirror has, by path.
type Site = BTreeMap<String, Vec<u8>>;

/// A release of nonsense, of this machine's architecture.
fn release(arch: &str) -> Site {
    let archive = |name: &str| {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(name.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, name, name.as_bytes()).unwrap();
        tar.into_inner().unwrap().finish().unwrap()
    };
    let mut site: Site = ["kubelet", "kubectl", "kubeadm"]
        .iter()
        .map(|name| {
            let path = format!("v1.36.77/bin/linux/{arch}/{name}");
            (path, name.as_bytes().to_vec())
        })
        .collect();
    let cni = format!("v1.9.1/cni-plugins-linux-{arch}-v1.9.1.tgz");
    let crictl = format!("v1.36.0/crictl-v1.36.0-linux-{arch}.tar.gz");
    site.extend([(cni, archive("bridge")), (crictl, archive("crictl"))]);
    site
}

/// Serves it over plain HTTP, for as long as the test lasts.
fn serve(site: Site) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let site = Arc::new(site);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, site) = (stream.unwrap(), Arc::clone(&site));
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let count = stream.read(&mut head).unwrap();
                let head = String::from_utf8_lossy(&head[..count]).into_owned();
                let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
                let (status, body) = match site.get(path) {
                    Some(body) => ("200 OK", body.as_slice()),
                    None => ("404 Not Found", &b""[..]),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
            });
        }
    });
    url
}

fn sums(site: &Site) -> String {
    let line = |(path, content): (&String, &Vec<u8>)| {
        let sum = Sha256::digest(content);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{sum}  {path}\n")
    };
    site.iter().map(line).collect()
}

fn inventory(url: &str, more: &str) -> String {
    format!(
        "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
         kubernetesVersion: v1.36.77\n  artifacts:\n    mirrors: {{kubernetes: \"{url}\", cniPlugins: \
         \"{url}\", criTools: \"{url}\"}}\n{more}  hosts:\n    - {{name: cp1, address: 192.0.2.11, \
         roles: [control-plane]}}\n"
    )
}

#[test]
fn a_mirror_without_tls_fills_a_directory_if_the_inventory_lists_what_it_has() {
    let typist = Typist::new();
    let site = release("arm64");
    let url = serve(site.clone());
    typist.write("mirror.sums", &sums(&site));
    typist.write(
        "inventory.yaml",
        &inventory(&url, "    checksumsFile: mirror.sums\n"),
    );
    // What the operator has put there stays: images are saved by other means.
    std::fs::create_dir_all(typist.path("site/linux-arm64/images")).unwrap();
    let mut image = tar::Builder::new(Vec::new());
    let manifest = br#"[{"RepoTags": ["registry.k8s.io/pause:3.10.2"]}]"#;
    let mut header = tar::Header::new_gnu();
    header.set_size(manifest.len() as u64);
    image
        .append_data(&mut header, "manifest.json", &manifest[..])
        .unwrap();
    let image = image.into_inner().unwrap();
    std::fs::write(typist.path("site/linux-arm64/images/pause.tar"), &image).unwrap();
    let listed = Site::from([("linux-arm64/images/pause.tar".to_owned(), image)]);
    typist.write("site/SHA256SUMS", &sums(&listed));

    let args = ["artifacts", "fetch", "--arch", "arm64", "--out", "site"];
    // Downloads run in parallel, and end in any order.
    let shown = typist.run(&args);
    let (downloads, rest): (Vec<&str>, Vec<&str>) = shown
        .lines()
        .partition(|line| line.starts_with("downloaded "));
    assert_eq!(downloads.len(), 5, "{shown}");
    insta::assert_snapshot!("artifacts-fetch", rest.join("\n"));
    let status = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(typist.path("site"))
        .status()
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(typist.path("site/SHA256SUMS")).unwrap();
    let files: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(
        files,
        [
            "linux-arm64/cni-plugins/bridge",
            "linux-arm64/crictl",
            "linux-arm64/images/pause.tar",
            "linux-arm64/kubeadm",
            "linux-arm64/kubectl",
            "linux-arm64/kubelet",
        ]
    );
    let json = typist.stdout(&[&args[..], &["--output", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["version"], "v1.36.77");
    let missing = json["missingImages"]["arm64"].as_array().unwrap();
    assert!(!missing.contains(&"registry.k8s.io/pause:3.10.2".into()));
}

#[test]
fn what_a_mirror_has_replaced_is_refused() {
    let typist = Typist::new();
    let mut site = release("arm64");
    typist.write("mirror.sums", &sums(&site));
    site.insert("v1.36.77/bin/linux/arm64/kubelet".into(), b"evil".to_vec());
    let url = serve(site);
    typist.write(
        "inventory.yaml",
        &inventory(&url, "    checksumsFile: mirror.sums\n"),
    );
    let shown = typist.run(&["artifacts", "fetch", "--arch", "arm64"]);
    assert!(shown.ends_with("exit code 1"), "{shown}");
    let error: Vec<&str> = shown
        .lines()
        .skip_while(|line| !line.starts_with("error"))
        .collect();
    insta::assert_snapshot!("artifacts-replaced", error.join("\n").replace(&url, "URL"));
}

#[test]
fn a_mirror_that_cannot_be_verified_is_told_by_validate() {
    let typist = Typist::new();
    typist.write("inventory.yaml", &inventory("http://mirror.example", ""));
    insta::assert_snapshot!("validate-mirror", typist.run(&["validate"]));
    // A release that is built in is verified whatever the mirror is.
    let known = inventory("http://mirror.example", "").replace("v1.36.77", "v1.36.2");
    typist.write("inventory.yaml", &known);
    let shown = typist.run(&["validate"]);
    assert!(shown.ends_with("exit code 0"), "{shown}");
}
