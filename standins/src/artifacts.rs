//! `standin artifacts`: a directory as the product reads it, with copies of this program.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;

use crate::api::sha256;
use crate::version::{Release, trailer};

const BINARIES: &[&str] = &["kubelet", "kubectl"];
const BALANCERS: &[(&str, &str)] = &[
    ("haproxy", "docker.io/library/haproxy:3.2.19-alpine"),
    ("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.0.4"),
];
const PLUGINS: &[&str] = &["bridge", "host-local", "loopback", "portmap"];

/// Writes the directory; the exit status.
pub fn main(args: &[String]) -> u8 {
    match run(args) {
        Ok(dir) => {
            println!("{}", dir.display());
            0
        }
        Err(e) => {
            eprintln!("standin artifacts: {e:#}");
            1
        }
    }
}

fn run(args: &[String]) -> anyhow::Result<PathBuf> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let ["--version", version, "--out", out] = words[..] else {
        bail!("usage: standin artifacts --version vX.Y.Z --out DIR");
    };
    let out = PathBuf::from(out);
    write(Release::parse(version)?, &out)?;
    Ok(out)
}

/// The program, stripped if there is a tool for it: it goes to every host and into every image.
fn program(out: &Path) -> anyhow::Result<Vec<u8>> {
    let exe = std::env::current_exe()?;
    let stripped = out.join(".stripped");
    let done = std::process::Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(&exe)
        .status()
        .is_ok_and(|s| s.success());
    let bytes = std::fs::read(if done { &stripped } else { &exe })?;
    let _ = std::fs::remove_file(&stripped);
    Ok(bytes)
}

fn write(release: Release, out: &Path) -> anyhow::Result<()> {
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let dir = out.join(format!("linux-{arch}"));
    for sub in ["cni-plugins", "images"] {
        std::fs::create_dir_all(dir.join(sub))?;
    }
    let mut bytes = program(out)?;
    bytes.extend(trailer(release));
    let first = dir.join(BINARIES[0]);
    write_program(&first, &bytes)?;
    for path in BINARIES[1..].iter().map(|b| dir.join(b)) {
        let _ = std::fs::remove_file(&path);
        std::fs::hard_link(&first, &path).or_else(|_| std::fs::copy(&first, &path).map(|_| ()))?;
    }
    for path in PLUGINS.iter().map(|p| dir.join("cni-plugins").join(p)) {
        write_program(&path, include_bytes!("../data/cni-plugin.sh"))?;
    }
    images(release, arch, &dir.join("images"))?;
    sums(out)
}

fn write_program(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, bytes)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Every image has the same layer. It holds no program: the kubelet stand-in runs its
/// own binary under the image's name and tag, so the layer only says what is in it.
fn images(release: Release, arch: &str, dir: &Path) -> anyhow::Result<()> {
    let own = release.to_string();
    let images = [
        ("kube-apiserver", own.as_str()),
        ("kube-controller-manager", &own),
        ("kube-scheduler", &own),
        ("kube-proxy", &own),
        ("etcd", release.etcd_tag()),
        ("pause", release.pause_tag()),
        ("coredns", release.coredns_tag()),
    ];
    for (name, tag) in images {
        let repository = match name {
            "coredns" => "registry.k8s.io/coredns/coredns".to_owned(),
            name => format!("registry.k8s.io/{name}"),
        };
        let path = dir.join(format!("{name}_{tag}.tar"));
        image(&path, &format!("{repository}:{tag}"), name, arch)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    // The ways to the API are no part of a release.
    for (name, reference) in BALANCERS {
        let path = dir.join(format!("{name}.tar"));
        image(&path, reference, name, arch)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn entry(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    mode: u32,
    bytes: &[u8],
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    archive.append_data(&mut header, name, bytes)
}

/// A docker-archive of one layer.
fn image(path: &Path, tag: &str, name: &str, arch: &str) -> anyhow::Result<()> {
    let mut layer = tar::Builder::new(vec![]);
    entry(
        &mut layer,
        &format!("usr/local/bin/{name}"),
        0o755,
        format!("stand-in for {name}\n").as_bytes(),
    )?;
    let layer = layer.into_inner()?;
    let digest = sha256(&layer);
    let config = json!({
        "architecture": arch, "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {"Entrypoint": [format!("/usr/local/bin/{name}")], "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "standin artifacts"}],
    })
    .to_string();
    let config_name = format!("{}.json", sha256(config.as_bytes()));
    let layer_name = format!("{digest}/layer.tar");
    let manifest =
        json!([{"Config": config_name, "RepoTags": [tag], "Layers": [layer_name]}]).to_string();
    let mut archive = tar::Builder::new(File::create(path)?);
    entry(&mut archive, &config_name, 0o644, config.as_bytes())?;
    entry(&mut archive, &layer_name, 0o644, &layer)?;
    entry(&mut archive, "manifest.json", 0o644, manifest.as_bytes())?;
    archive.finish()?;
    Ok(())
}

/// `SHA256SUMS` over every file, as sha256sum writes it.
fn sums(out: &Path) -> anyhow::Result<()> {
    fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(&path, files)?
            } else {
                files.push(path)
            }
        }
        Ok(())
    }
    let mut files = vec![];
    walk(out, &mut files)?;
    files.sort();
    let mut text = String::new();
    for file in files {
        let name = file.strip_prefix(out)?.display().to_string();
        if name != "SHA256SUMS" {
            text.push_str(&format!("{}  {name}\n", sha256(&std::fs::read(&file)?)));
        }
    }
    std::fs::write(out.join("SHA256SUMS"), text)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_complete_and_summed() {
        let dir = tempfile::tempdir().unwrap();
        write(Release::parse("v1.35.5").unwrap(), dir.path()).unwrap();
        let sums = std::fs::read_to_string(dir.path().join("SHA256SUMS")).unwrap();
        for file in [
            "kubelet",
            "cni-plugins/bridge",
            "images/etcd_3.6.6-0.tar",
            "images/coredns_v1.13.1.tar",
        ] {
            assert!(sums.contains(&format!("/{file}\n")), "{file} in {sums}");
        }
        let archive = File::open(
            dir.path()
                .join("linux-amd64/images/kube-apiserver_v1.35.5.tar"),
        )
        .unwrap();
        let names: Vec<String> = tar::Archive::new(archive)
            .entries()
            .unwrap()
            .map(|e| e.unwrap().path().unwrap().display().to_string())
            .collect();
        assert!(names.contains(&"manifest.json".to_owned()));
    }
}
