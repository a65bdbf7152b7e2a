//! Artifacts out of a directory, and over HTTP from a server of our own.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use clusterctl::artifacts::{
    ArtifactsError, OnlineRequest, Progress, Set, Voucher, fetch, open_cached, open_directory,
};
use clusterctl::inventory::spec::Mirrors;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn tar(files: &[(&str, &str, u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn image(reference: &str) -> Vec<u8> {
    let manifest = format!(r#"[{{"RepoTags": ["{reference}"]}}]"#);
    tar(&[("manifest.json", &manifest, 0o644)])
}

fn set_of(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A directory of artifacts beside the state that remembers it.
struct Artifacts {
    temp: TempDir,
}

impl Artifacts {
    fn new() -> Self {
        let artifacts = Artifacts {
            temp: tempfile::tempdir().unwrap(),
        };
        for arch in ["amd64", "arm64"] {
            artifacts.add(&format!("linux-{arch}/kubelet"), arch.as_bytes());
            artifacts.add(&format!("linux-{arch}/cni-plugins/bridge"), b"bridge");
            artifacts.add(
                &format!("linux-{arch}/images/pause.tar"),
                &image("registry.k8s.io/pause:3.10.2"),
            );
        }
        artifacts.add("README", b"hello");
        artifacts.sum();
        artifacts
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("artifacts")
    }

    fn add(&self, file: &str, content: &[u8]) {
        let path = self.dir().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes SHA256SUMS over what is there.
    fn sum(&self) {
        let mut text = String::new();
        let mut dirs = vec![self.dir()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.file_name().unwrap() != "SHA256SUMS" {
                    let name = path.strip_prefix(self.dir()).unwrap().display();
                    text += &format!("{}  ./{name}\n", sha256(&fs::read(&path).unwrap()));
                }
            }
        }
        self.add("SHA256SUMS", text.as_bytes());
    }

    async fn open(&self, architectures: &[&str]) -> Result<Set, ArtifactsError> {
        let hashes = self.temp.path().join("state/hashes.json");
        open_directory(&self.dir(), &set_of(architectures), &hashes).await
    }

    async fn refusal(&self) -> String {
        let error = self.open(&["amd64"]).await.unwrap_err();
        error
            .to_string()
            .replace(&self.dir().display().to_string(), "DIR")
    }
}

#[tokio::test]
async fn a_directory_is_read_by_architecture() {
    let artifacts = Artifacts::new();
    let set = artifacts.open(&["amd64", "arm64"]).await.unwrap();
    assert_eq!(set.architectures.len(), 2);
    let kubelet = set.binary("arm64", "kubelet").unwrap();
    assert_eq!(kubelet.sha256, sha256(b"arm64"));
    assert_eq!(kubelet.size, 5);
    assert_eq!(kubelet.path, artifacts.dir().join("linux-arm64/kubelet"));
    assert!(
        set.architectures["amd64"]
            .cni_plugins
            .contains_key("bridge")
    );
    let archive = set
        .archive_of("amd64", "registry.k8s.io/pause:3.10.2")
        .unwrap();
    assert!(archive.path.ends_with("linux-amd64/images/pause.tar"));
    assert_eq!(set.references().count(), 2);
    assert_eq!(set.binary("amd64", "README"), None);

    let error = artifacts.open(&["riscv64"]).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("no kubelet for riscv64 (linux-riscv64/kubelet)")
    );
}

#[tokio::test]
async fn what_the_list_does_not_vouch_for_is_refused() {
    let artifacts = Artifacts::new();
    artifacts.add("linux-amd64/kubectl", b"unlisted");
    fs::remove_file(artifacts.dir().join("README")).unwrap();
    symlink("/etc/passwd", artifacts.dir().join("linux-amd64/link")).unwrap();
    insta::assert_snapshot!(artifacts.refusal().await, @r"
    cannot use DIR:
      README: is listed in SHA256SUMS, but missing
      linux-amd64/kubectl: is not listed in SHA256SUMS
      linux-amd64/link: is a symbolic link
    ");
}

#[tokio::test]
async fn what_differs_from_the_list_is_refused() {
    let artifacts = Artifacts::new();
    artifacts.add("linux-amd64/kubelet", b"amd65");
    let whole = fs::read(artifacts.dir().join("linux-amd64/images/pause.tar")).unwrap();
    artifacts.add("linux-amd64/images/pause.tar", &whole[..530]);
    insta::assert_snapshot!(artifacts.refusal().await, @r"
    cannot use DIR:
      linux-amd64/images/pause.tar: is truncated
      linux-amd64/kubelet: has the SHA-256 e58aa214d4ff42d28e7c47bd3b187feada8d3282639b7b5f8e314fb0a8694e1e, not the one listed
    ");
}

#[tokio::test]
async fn a_directory_without_list_says_how_to_make_one() {
    let artifacts = Artifacts::new();
    fs::remove_file(artifacts.dir().join("SHA256SUMS")).unwrap();
    let error = artifacts.open(&["amd64"]).await.unwrap_err();
    assert!(matches!(error, ArtifactsError::NoSums(_)), "{error}");
    assert!(error.hint().unwrap().contains("sha256sum"));

    artifacts.add("SHA256SUMS", b"nonsense");
    assert!(artifacts.refusal().await.contains("SHA256SUMS, line 1: "));

    let missing = artifacts.dir().join("missing");
    let error = open_directory(&missing, &set_of(&["amd64"]), &missing)
        .await
        .unwrap_err();
    assert!(matches!(error, ArtifactsError::Read { .. }), "{error}");
}

/// A forged memory is believed, so the second run did not read the file.
#[tokio::test]
async fn an_unchanged_file_is_hashed_once() {
    let artifacts = Artifacts::new();
    let past = SystemTime::now() - Duration::from_secs(60);
    let kubelet = artifacts.dir().join("linux-amd64/kubelet");
    let file = fs::File::options().write(true).open(&kubelet).unwrap();
    file.set_modified(past).unwrap();
    artifacts.open(&["amd64"]).await.unwrap();

    let memory = artifacts.temp.path().join("state/hashes.json");
    let text = fs::read_to_string(&memory).unwrap();
    let forged = text.replace(&sha256(b"amd64"), &sha256(b"other"));
    assert_ne!(text, forged);
    fs::write(&memory, forged).unwrap();
    assert!(artifacts.refusal().await.contains(&sha256(b"other")));

    // A touched file is read again, whatever is remembered.
    file.set_modified(past - Duration::from_secs(1)).unwrap();
    artifacts.open(&["amd64"]).await.unwrap();
}

/// An HTTP server that can be told to misbehave.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Site>>);

#[derive(Default)]
struct Site {
    files: BTreeMap<String, Vec<u8>>,
    /// Break off after this many bytes, once.
    cut: BTreeMap<String, usize>,
    /// Answer with this status, so many times.
    fail: BTreeMap<String, (u16, usize)>,
    no_ranges: bool,
    /// Path, and the range that was asked for.
    log: Vec<String>,
}

impl Server {
    /// Everything that `fetch` asks for, for v1.36.2 on amd64.
    async fn start() -> (Self, String) {
        let server = Server::default();
        for name in ["kubelet", "kubectl", "kubeadm"] {
            server.put(
                &format!("/v1.36.2/bin/linux/amd64/{name}"),
                name.repeat(500).as_bytes(),
            );
        }
        let gz = |files: &[(&str, &str, u32)]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            std::io::Write::write_all(&mut encoder, &tar(files)).unwrap();
            encoder.finish().unwrap()
        };
        server.put(
            "/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz",
            &gz(&[
                ("./bridge", "bridge", 0o755),
                ("./host-local", "host-local", 0o755),
                ("./LICENSE", "free", 0o644),
            ]),
        );
        server.put(
            "/v1.36.0/crictl-v1.36.0-linux-amd64.tar.gz",
            &gz(&[("crictl", "crictl", 0o755)]),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = server.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let state = state.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap_or(b'\n'));
                        if head.len() > 10_000 {
                            return;
                        }
                    }
                    let answer = state.answer(&String::from_utf8_lossy(&head));
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        (server, url)
    }

    fn put(&self, path: &str, content: &[u8]) {
        let mut site = self.0.lock().unwrap();
        site.files.insert(path.into(), content.into());
        let sum = format!("{}  name\n", sha256(content));
        site.files
            .insert(format!("{path}.sha256"), sum.into_bytes());
    }

    fn site<T>(&self, change: impl FnOnce(&mut Site) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// SHA-256 of all files, as an inventory lists them.
    fn checksums(&self) -> BTreeMap<String, String> {
        self.site(|site| {
            let files = site.files.iter();
            files
                .filter(|(path, _)| !path.ends_with(".sha256"))
                .map(|(path, content)| (path.trim_start_matches('/').to_owned(), sha256(content)))
                .collect()
        })
    }

    /// What was asked for since the last time.
    fn log(&self) -> Vec<String> {
        self.site(|site| std::mem::take(&mut site.log))
    }

    fn answer(&self, head: &str) -> Vec<u8> {
        let mut site = self.0.lock().unwrap();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let from: Option<usize> = head.lines().find_map(|line| {
            let range = line.to_lowercase();
            range
                .strip_prefix("range: bytes=")?
                .strip_suffix('-')?
                .parse()
                .ok()
        });
        site.log.push(match from {
            Some(from) => format!("{path} from {from}"),
            None => path.clone(),
        });
        if let Some((status, times)) = site.fail.get_mut(&path)
            && *times > 0
        {
            *times -= 1;
            return format!(
                "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .into_bytes();
        }
        let Some(body) = site.files.get(&path).cloned() else {
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_vec();
        };
        let from = from.filter(|_| !site.no_ranges);
        let rest = &body[from.unwrap_or(0).min(body.len())..];
        let mut answer = match from {
            Some(from) => format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n",
                body.len() - 1,
                body.len()
            ),
            None => "HTTP/1.1 200 OK\r\n".into(),
        };
        answer += &format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            rest.len()
        );
        let mut answer = answer.into_bytes();
        match site.cut.remove(&path) {
            Some(bytes) => answer.extend(&rest[..bytes]),
            None => answer.extend(rest),
        }
        answer
    }
}

/// The server does not speak TLS: the inventory has to list what it delivers now.
fn request(server: &Server, url: &str, temp: &Path) -> OnlineRequest {
    OnlineRequest {
        version: "v1.36.2".parse().unwrap(),
        architectures: set_of(&["amd64"]),
        mirrors: Mirrors {
            kubernetes: Some(format!("{url}/")),
            cni_plugins: Some(url.into()),
            cri_tools: Some(url.into()),
        },
        checksums: server.checksums(),
        cache: temp.join("cache"),
        hashes: temp.join("state/hashes.json"),
        retry_delay: Duration::from_millis(1),
    }
}

/// The only release in a cache.
fn release(cache: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("partial"))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn get(request: &OnlineRequest) -> Result<Set, ArtifactsError> {
    fetch(request, &|_| {}).await
}

const KUBELET: &str = "/v1.36.2/bin/linux/amd64/kubelet";

#[tokio::test]
async fn the_cache_is_filled_once() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let request = request(&server, &url, temp.path());
    let seen = Mutex::new(Vec::new());
    let set = fetch(&request, &|progress| seen.lock().unwrap().push(progress))
        .await
        .unwrap();
    let amd64 = &set.architectures["amd64"];
    let names = |files: &BTreeMap<String, _>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&amd64.binaries),
        ["crictl", "kubeadm", "kubectl", "kubelet"]
    );
    assert_eq!(names(&amd64.cni_plugins), ["bridge", "host-local"]);
    assert_eq!(amd64.binaries["kubelet"].size, 3_500);
    assert!(seen.lock().unwrap().contains(&Progress {
        file: "linux-amd64/kubelet".into(),
        done: 3_500,
        total: Some(3_500)
    }));
    // No checksum was asked for: the server's own proves nothing.
    assert_eq!(server.log().len(), 5);

    // The second time needs no network, and gives the same.
    assert_eq!(get(&request).await.unwrap(), set);
    assert_eq!(server.log(), [""; 0]);
    // sha256sum agrees.
    let status = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(release(&request.cache))
        .status()
        .unwrap();
    assert!(status.success());

    // What was lost or spoilt is put right, and nothing else.
    let dir = release(&request.cache).join("linux-amd64");
    fs::write(dir.join("kubelet"), "spoilt").unwrap();
    fs::remove_file(dir.join("cni-plugins/bridge")).unwrap();
    assert_eq!(get(&request).await.unwrap(), set);
    assert_eq!(server.log(), [KUBELET]);
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    server.site(|site| site.cut.insert(KUBELET.into(), 1_234));
    let set = get(&request(&server, &url, temp.path())).await.unwrap();
    assert_eq!(
        set.binary("amd64", "kubelet").unwrap().sha256,
        sha256("kubelet".repeat(500).as_bytes())
    );
    assert!(server.log().contains(&format!("{KUBELET} from 1234")));
    assert_eq!(
        fs::read_dir(temp.path().join("cache/partial"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_killed_download_goes_on_in_the_next_run() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let request = request(&server, &url, temp.path());
    let content = "kubelet".repeat(500).into_bytes();
    let partial = request.cache.join("partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join(sha256(&content)), &content[..99]).unwrap();
    get(&request).await.unwrap();
    assert!(server.log().contains(&format!("{KUBELET} from 99")));
}

#[tokio::test]
async fn a_server_without_ranges_starts_anew() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    server.site(|site| {
        site.no_ranges = true;
        site.cut.insert(KUBELET.into(), 1_234)
    });
    let set = get(&request(&server, &url, temp.path())).await.unwrap();
    assert_eq!(set.binary("amd64", "kubelet").unwrap().size, 3_500);
}

#[tokio::test]
async fn leftovers_that_do_not_fit_are_thrown_away() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let request = request(&server, &url, temp.path());
    let name = sha256("kubelet".repeat(500).as_bytes());
    let partial = request.cache.join("partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join(name), "something else").unwrap();
    get(&request).await.unwrap();
    let log = server.log();
    assert!(log.contains(&format!("{KUBELET} from 14")) && log.contains(&KUBELET.to_owned()));
}

#[tokio::test]
async fn a_wrong_checksum_is_an_error_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let listed = request(&server, &url, temp.path());
    // The checksum beside it is of no use: who replaces the one replaces the other.
    server.put(KUBELET, b"evil");
    let error = get(&listed).await.unwrap_err();
    let wanted = &listed.checksums[KUBELET.trim_start_matches('/')];
    assert_eq!(
        error.to_string(),
        format!(
            "rejected {url}{KUBELET}: it has the SHA-256\n  {}\nbut the inventory's checksum is\n  \
             {wanted}",
            sha256(b"evil")
        )
    );
    assert!(!release(&listed.cache).join("linux-amd64/kubelet").exists());
    let asked = |log: Vec<String>| log.iter().filter(|path| *path == KUBELET).count();
    assert_eq!(asked(server.log()), 1);

    server.put(KUBELET, &"kubelet".repeat(500).into_bytes());
    get(&listed).await.unwrap();
}

/// A release that is known is its publisher's, whatever the mirror and the way to it are.
#[tokio::test]
async fn a_mirror_cannot_replace_a_known_release() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let trusting = OnlineRequest {
        checksums: BTreeMap::new(),
        ..request(&server, &url, temp.path())
    };
    let error = get(&trusting).await.unwrap_err();
    let ArtifactsError::Checksum {
        found,
        wanted,
        voucher,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(*voucher, Voucher::BuiltIn);
    let text = error.to_string();
    assert!(text.contains(found) && text.contains(wanted), "{text}");
    assert!(error.hint().unwrap().contains("`artifacts.checksums`"));
    assert!(!server.log().iter().any(|path| path.ends_with(".sha256")));
}

/// The table is built in, and the mirror is plain http.
#[tokio::test]
async fn an_unknown_release_is_not_taken_over_http() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let mut unknown = OnlineRequest {
        version: "v1.36.77".parse().unwrap(),
        ..request(&server, &url, temp.path())
    };
    unknown
        .checksums
        .insert("v1.36.77/bin/linux/amd64/kubectl".into(), "0".repeat(64));
    let error = get(&unknown).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot verify downloads that are not https, because no SHA-256 is known of:\n  \
             {url}/v1.36.77/bin/linux/amd64/kubelet\n  {url}/v1.36.77/bin/linux/amd64/kubeadm"
        )
    );
    assert_eq!(server.log(), [""; 0]);
    assert!(!unknown.cache.exists());
}

/// What one inventory's mirror has filled is not there for an inventory without that mirror.
#[tokio::test]
async fn the_cache_knows_whose_word_it_took() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let own_builds = request(&server, &url, temp.path());
    let set = get(&own_builds).await.unwrap();
    assert_eq!(open_cached(&own_builds).await.unwrap(), set);
    server.log();

    let official = OnlineRequest {
        mirrors: Mirrors::default(),
        checksums: BTreeMap::new(),
        ..own_builds.clone()
    };
    let error = open_cached(&official).await.unwrap_err();
    assert!(matches!(error, ArtifactsError::NotCached { .. }), "{error}");

    // Not even if the files lie where the official ones would.
    let place = own_builds.cache.join("v1.36.2");
    fs::remove_dir_all(&place).unwrap();
    let filled = fs::read_dir(&own_builds.cache).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        (path.is_dir() && !path.ends_with("partial")).then_some(path)
    });
    fs::rename(filled.unwrap(), &place).unwrap();
    let error = open_cached(&official).await.unwrap_err();
    assert!(matches!(error, ArtifactsError::NotCached { .. }), "{error}");

    // Nor for an inventory that lists other checksums.
    server.put(KUBELET, b"another build");
    let other = request(&server, &url, temp.path());
    let set = get(&other).await.unwrap();
    assert_eq!(
        set.binary("amd64", "kubelet").unwrap().sha256,
        sha256(b"another build")
    );
}

#[tokio::test]
async fn a_cache_that_others_could_fill_is_not_used() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let request = request(&server, &url, temp.path());
    get(&request).await.unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let inner = release(&request.cache);
    let sums = inner.join("SHA256SUMS");
    for path in [&request.cache, &inner, &sums] {
        mode(path, 0o777);
        let error = get(&request).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot use the cache: {} is writable by others (mode 0777)",
                path.display()
            )
        );
        assert!(error.hint().unwrap().contains("chmod"));
        mode(path, 0o700);
    }
    get(&request).await.unwrap();

    // Only root can give a directory away.
    if std::os::unix::fs::chown(&request.cache, Some(12_345), None).is_ok() {
        let error = get(&request).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("belongs to another user (uid 12345)"),
            "{error}"
        );
    }
}

/// The memory of checksums is believed instead of the files, so it has to be ours.
#[tokio::test]
async fn a_memory_that_others_could_have_written_is_not_believed() {
    let artifacts = Artifacts::new();
    let past = SystemTime::now() - Duration::from_secs(60);
    let kubelet = artifacts.dir().join("linux-amd64/kubelet");
    let file = fs::File::options().write(true).open(&kubelet).unwrap();
    file.set_modified(past).unwrap();
    artifacts.open(&["amd64"]).await.unwrap();
    let memory = artifacts.temp.path().join("state/hashes.json");
    let text = fs::read_to_string(&memory).unwrap();
    fs::write(&memory, text.replace(&sha256(b"amd64"), &sha256(b"other"))).unwrap();
    fs::set_permissions(&memory, fs::Permissions::from_mode(0o666)).unwrap();
    artifacts.open(&["amd64"]).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_asked_for_once_and_what_fails_again() {
    let temp = tempfile::tempdir().unwrap();
    let (server, url) = Server::start().await;
    let request = request(&server, &url, temp.path());
    let content = server.site(|site| {
        site.fail
            .insert("/v1.36.2/bin/linux/amd64/kubectl".into(), (503, 2));
        site.files.remove(KUBELET).unwrap()
    });
    let error = get(&request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot download {url}{KUBELET}: the server responded 404 Not Found")
    );
    assert!(error.hint().is_some());
    let asked = |log: Vec<String>| log.iter().filter(|path| *path == KUBELET).count();
    assert_eq!(asked(server.log()), 1);

    server.put(KUBELET, &content);
    get(&request).await.unwrap();

    let down = OnlineRequest {
        cache: temp.path().join("other"),
        mirrors: Mirrors {
            kubernetes: Some("http://127.0.0.1:1".into()),
            ..request.mirrors.clone()
        },
        ..request
    };
    let error = get(&down).await.unwrap_err();
    assert!(error.to_string().contains("onnection refused"), "{error}");
}
