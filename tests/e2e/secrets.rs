//! Whether a secret shows in a process's arguments or environment, found by
//! looking at all of them, over and over, while something goes on.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;

use crate::lab::Lab;

/// Arguments and environments to standard output, the kubeconfig with the
/// token to standard error, until standard input is closed.
const SAMPLER: &str = "\
while read -t 0.1; [ $? -gt 128 ]; do
  cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null
  [ ! -e /etc/kubernetes/bootstrap-kubelet.conf ] || cat /etc/kubernetes/bootstrap-kubelet.conf >&2
done";

/// Looks at processes, on the workstation and on hosts.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    workstation: JoinHandle<Strings>,
    hosts: Vec<HostWatch>,
}

struct HostWatch {
    name: String,
    child: Child,
    processes: JoinHandle<Strings>,
    kubeconfig: JoinHandle<String>,
}

type Strings = BTreeSet<Vec<u8>>;

/// What was seen.
pub(crate) struct Seen {
    /// By where.
    places: Vec<(String, Strings)>,
    /// Tokens that workers joined with, as far as one was there to be read.
    pub(crate) tokens: BTreeSet<String>,
}

impl Watch {
    pub(crate) fn start(lab: &Lab, hosts: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let workstation = std::thread::spawn(move || {
            let mut seen = Strings::new();
            while !flag.load(Ordering::Relaxed) {
                look_around(&mut seen);
                std::thread::sleep(Duration::from_millis(100));
            }
            seen
        });
        let hosts: Vec<HostWatch> = hosts
            .iter()
            .map(|host| HostWatch::start(lab, host))
            .collect();
        // A canary: whoever looks as we do must see it, on a busy machine, too.
        for host in &hosts {
            lab.sh(&host.name, "CANARY=in-environ bash -c 'sleep 4; :' in-argv");
        }
        Watch {
            stop,
            workstation,
            hosts,
        }
    }

    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Seen {
            places: vec![("workstation".into(), self.workstation.join().unwrap())],
            tokens: BTreeSet::new(),
        };
        for mut host in self.hosts {
            drop(host.child.stdin.take());
            host.child.wait().unwrap();
            let strings = host.processes.join().unwrap();
            assert!(
                strings.contains("CANARY=in-environ".as_bytes()),
                "the sampler is blind"
            );
            assert!(
                strings.contains("in-argv".as_bytes()),
                "the sampler is blind"
            );
            seen.tokens.extend(
                host.kubeconfig
                    .join()
                    .unwrap()
                    .lines()
                    .filter_map(|line| line.trim().strip_prefix("token: "))
                    .map(|token| token.trim_matches('"').to_owned())
                    .filter(|token| is_token(token)),
            );
            seen.places.push((host.name, strings));
        }
        seen
    }
}

impl HostWatch {
    fn start(lab: &Lab, host: &str) -> Self {
        let mut child = lab
            .exec(host, SAMPLER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        HostWatch {
            name: host.to_owned(),
            child,
            processes: std::thread::spawn(move || {
                BufReader::new(stdout)
                    .split(0)
                    .map_while(Result::ok)
                    .collect()
            }),
            kubeconfig: std::thread::spawn(move || {
                let mut text = Vec::new();
                stderr.read_to_end(&mut text).unwrap();
                String::from_utf8_lossy(&text).into_owned()
            }),
        }
    }
}

/// Every process of this machine that we may look at.
fn look_around(seen: &mut Strings) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            if let Ok(bytes) = fs::read(entry.path().join(file)) {
                seen.extend(bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec));
            }
        }
    }
}

impl Seen {
    /// No process had any of `secrets`, nor anything that looks like a token.
    pub(crate) fn assert_without(&self, secrets: &[String]) {
        for (place, strings) in &self.places {
            assert!(strings.len() > 20, "{place}: hardly anything was seen");
            for string in strings {
                let text = String::from_utf8_lossy(string);
                assert_without(&format!("a process of {place}"), &text, secrets);
                // Other processes of the workstation are not ours to judge.
                if place != "workstation" {
                    let token = text
                        .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                        .find(|word| is_token(word));
                    assert_eq!(token, None, "{place}: {text}");
                }
            }
        }
    }
}

/// `text` must hold none of `secrets`.
pub(crate) fn assert_without(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(
            !text.contains(secret.as_str()),
            "{what} holds a secret: {secret}"
        );
    }
}

/// What nobody may show of every private key below a directory: a line of its
/// PEM, and a part of it as kubeconfigs hold it.
pub(crate) fn private_keys(dir: &Path) -> Vec<String> {
    let mut secrets = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "key") {
                let pem = fs::read_to_string(path).unwrap();
                // The first line of a body is the same prefix for many keys.
                secrets.push(pem.lines().nth(2).unwrap().to_owned());
                let embedded = base64::engine::general_purpose::STANDARD.encode(&pem);
                let middle = embedded.len() / 2;
                secrets.push(embedded[middle..middle + 40].to_owned());
            }
        }
    }
    assert!(
        secrets.len() > 20,
        "the operator state holds hardly any key"
    );
    secrets
}

/// Whether a word has the form of a bootstrap token.
fn is_token(word: &str) -> bool {
    let lower = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    word.split_once('.').is_some_and(|(id, secret)| {
        id.len() == 6 && secret.len() == 16 && lower(id) && lower(secret)
    })
}

#[test]
fn tokens_are_recognised() {
    assert!(is_token("abcdef.0123456789abcdef"));
    assert!(!is_token("abcdef.0123456789abcde"));
    assert!(!is_token("kubelet.service"));
}
