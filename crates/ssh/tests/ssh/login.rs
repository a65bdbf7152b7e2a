//! Keys, passphrases, the agent.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ssh::{Connector, Session, Settings, SshError, Target, Workstation};

use crate::sshd::{Answer, Sshd, connector, eventually, new_key, sh, write_key};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_is_named() {
    let sshd = Sshd::start();
    let key = sshd.path("other");
    write_key(&key, &new_key(), None);
    let settings = Settings {
        private_key: Some(key),
        ..sshd.settings()
    };
    let error = sshd.connect_with(&settings).await.unwrap_err();
    assert!(matches!(error, SshError::Auth { .. }), "{error}");
    assert!(error.to_string().contains("/other: refused"), "{error}");
    let settings = Settings {
        private_key: Some(sshd.path("none")),
        ..sshd.settings()
    };
    let error = sshd.connect_with(&settings).await.unwrap_err();
    assert!(matches!(error, SshError::KeyFile { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_from_a_file_or_asked_for_once() {
    let sshd = Sshd::start();
    let key = new_key();
    write_key(&sshd.path("locked"), &key, Some("open sesame"));
    std::fs::write(
        sshd.path("authorized_keys"),
        key.public_key().to_openssh().unwrap(),
    )
    .unwrap();
    let settings = Settings {
        private_key: Some(sshd.path("locked")),
        ..sshd.settings()
    };

    let prompt = Answer::new("open sesame");
    let connector = Connector::new(prompt.clone(), None);
    let target = sshd.resolve(&settings);
    let sessions =
        futures::future::join_all((0..30).map(|_| Session::connect(&target, &connector))).await;
    assert!(sessions.iter().all(Result::is_ok), "{sessions:?}");
    assert_eq!(prompt.asked(), 1);

    std::fs::write(sshd.path("passphrase"), "open sesame\n").unwrap();
    let file = Settings {
        passphrase_file: Some(sshd.path("passphrase")),
        ..settings.clone()
    };
    sshd.connect_with(&file).await.unwrap();

    std::fs::write(sshd.path("passphrase"), "wrong\n").unwrap();
    let error = sshd.connect_with(&file).await.unwrap_err();
    assert!(matches!(error, SshError::KeyFile { .. }), "{error}");
    assert!(!error.to_string().contains("wrong\n"));

    let error = sshd.connect_with(&settings).await.unwrap_err();
    assert!(error.to_string().contains("no terminal"), "{error}");
    assert!(error.hint().unwrap().contains("ssh-add"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rsa_and_ecdsa_keys() {
    let sshd = Sshd::start();
    for (kind, bits) in [("rsa", "2048"), ("ecdsa", "384")] {
        let path = sshd.path(kind);
        let status = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::copy(
            sshd.path(&format!("{kind}.pub")),
            sshd.path("authorized_keys"),
        )
        .unwrap();
        let settings = Settings {
            private_key: Some(path),
            ..sshd.settings()
        };
        sshd.connect_with(&settings).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_certificates() {
    let sshd = Sshd::with("");
    let dir = tempfile::tempdir().unwrap();
    let config = format!("TrustedUserCAKeys {}/ca.pub", dir.path().display());
    write_key(&dir.path().join("ca"), &new_key(), None);
    write_key(&dir.path().join("id"), &new_key(), None);
    let status = Command::new("ssh-keygen")
        .args(["-q", "-s", "ca", "-I", "me", "-n"])
        .arg(sshd.resolve(&sshd.settings()).user)
        .arg("id.pub")
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    let sshd = Sshd::with(&config);
    let settings = Settings {
        private_key: Some(dir.path().join("id")),
        ..sshd.settings()
    };
    sshd.connect_with(&settings).await.unwrap();
}

/// An agent with a socket in `dir`.
struct Agent(Child, std::path::PathBuf);

impl Agent {
    async fn start(dir: &Path) -> Self {
        let socket = dir.join("agent");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("no ssh-agent found: install openssh-client");
        eventually("the agent listens", Duration::from_secs(5), || {
            socket.exists()
        })
        .await;
        Agent(child, socket)
    }

    fn add(&self, key: &Path) {
        let status = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.1)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent() {
    let sshd = Sshd::start();
    let agent = Agent::start(sshd.dir.path()).await;
    let station = Workstation {
        agent: Some(agent.1.clone()),
        ..sshd.workstation()
    };
    let settings = Settings {
        agent: true,
        private_key: None,
        ..sshd.settings()
    };
    let connect = async |settings: &Settings| {
        let target = Target::resolve("node", settings, &station).unwrap();
        Session::connect(&target, &connector()).await
    };
    let error = connect(&settings).await.unwrap_err();
    assert!(
        error.to_string().contains("the agent holds no key"),
        "{error}"
    );

    // Four strange keys before the right one: still within sshd's patience.
    for n in 0..4 {
        let path = sshd.path(&format!("strange{n}"));
        write_key(&path, &new_key(), None);
        agent.add(&path);
    }
    agent.add(&sshd.path("id"));
    connect(&settings).await.unwrap();
    assert!(
        connect(&Settings {
            agent: false,
            ..settings.clone()
        })
        .await
        .is_err()
    );

    // A named key is used from the agent, so that there is no prompt for its
    // passphrase; no other key of the agent's is offered then.
    let key = new_key();
    write_key(&sshd.path("locked"), &key, None);
    agent.add(&sshd.path("locked"));
    write_key(&sshd.path("locked"), &key, Some("secret"));
    std::fs::write(
        sshd.path("authorized_keys"),
        key.public_key().to_openssh().unwrap(),
    )
    .unwrap();
    let named = Settings {
        private_key: Some(sshd.path("locked")),
        ..settings.clone()
    };
    connect(&named).await.unwrap();
    let other = Settings {
        private_key: Some(sshd.path("strange0")),
        ..settings.clone()
    };
    let error = connect(&other).await.unwrap_err();
    assert!(
        error.to_string().contains("refused") && !error.to_string().contains("strange1"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_keys_than_sshd_has_patience_for() {
    let sshd = Sshd::start();
    let agent = Agent::start(sshd.dir.path()).await;
    for n in 0..9 {
        let path = sshd.path(&format!("strange{n}"));
        write_key(&path, &new_key(), None);
        agent.add(&path);
    }
    // The default key is still offered after the agent's.
    let station = Workstation {
        agent: Some(agent.1.clone()),
        ..sshd.workstation()
    };
    std::fs::create_dir_all(station.home.join(".ssh")).unwrap();
    std::fs::copy(sshd.path("id"), station.home.join(".ssh/id_ed25519")).unwrap();
    let settings = Settings {
        agent: true,
        private_key: None,
        ..sshd.settings()
    };
    let target = Target::resolve("node", &settings, &station).unwrap();
    Session::connect(&target, &connector()).await.unwrap();

    std::fs::remove_file(station.home.join(".ssh/id_ed25519")).unwrap();
    let target = Target::resolve("node", &settings, &station).unwrap();
    let error = Session::connect(&target, &connector()).await.unwrap_err();
    assert!(
        error.to_string().contains("the agent holds 9 keys"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_from_the_config_file() {
    let sshd = Sshd::start();
    let station = sshd.workstation();
    std::fs::create_dir_all(station.home.join(".ssh")).unwrap();
    let target = sshd.resolve(&sshd.settings());
    std::fs::write(
        station.ssh_config.as_ref().unwrap(),
        format!(
            "PKCS11Provider /x.so\nMatch originalhost other exec \"false\"\n  User other\nHost box\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  \
             IdentityFile {}\n  UserKnownHostsFile {}\n",
            sshd.port,
            target.user,
            sshd.path("id").display(),
            sshd.path("known_hosts").display()
        ),
    )
    .unwrap();
    let target = Target::resolve("node", &Settings::new("box"), &station).unwrap();
    assert_eq!(target.warnings.len(), 1);
    let session = Session::connect(&target, &connector()).await.unwrap();
    assert_eq!(sh(&session, "exit 3").await.unwrap().status, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    write_key(&path("ca"), &new_key(), None);
    let sshd = Sshd::with(&format!("TrustedUserCAKeys {}", path("ca.pub").display()));
    std::fs::write(sshd.path("authorized_keys"), "").unwrap();
    let user = sshd.resolve(&sshd.settings()).user;
    let keygen = |args: &[&str]| {
        let status = Command::new("ssh-keygen")
            .args(args)
            .current_dir(dir.path())
            .status();
        assert!(status.unwrap().success(), "{args:?}");
    };
    let agent = Agent::start(sshd.dir.path()).await;
    let station = Workstation {
        agent: Some(agent.1.clone()),
        ..sshd.workstation()
    };
    std::fs::create_dir_all(station.home.join(".ssh")).unwrap();
    for kind in ["ed25519", "rsa"] {
        keygen(&["-q", "-t", kind, "-N", "", "-f", kind]);
        keygen(&[
            "-q",
            "-s",
            "ca",
            "-I",
            "me",
            "-n",
            &user,
            &format!("{kind}.pub"),
        ]);
        // Not where OpenSSH looks by itself.
        std::fs::rename(path(&format!("{kind}-cert.pub")), path("certificate")).unwrap();
        let connect = async |config: &str| {
            std::fs::write(station.ssh_config.as_ref().unwrap(), config).unwrap();
            let settings = Settings {
                private_key: None,
                agent: true,
                use_ssh_config: true,
                ..sshd.settings()
            };
            let target = Target::resolve("node", &settings, &station).unwrap();
            Session::connect(&target, &connector()).await
        };
        let identity = format!("IdentityFile {}\n", path(kind).display());
        let error = connect(&identity).await.unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
        let certificate = format!(
            "{identity}CertificateFile {}\n",
            path("certificate").display()
        );
        connect(&certificate).await.unwrap();
        let forbidden = format!("{certificate}PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-512\n");
        let error = connect(&forbidden).await.unwrap_err().to_string();
        assert!(
            error.contains("PubkeyAcceptedAlgorithms") || error.contains("is allowed"),
            "{error}"
        );
        // The agent has the key, and signs for its certificate.
        agent.add(&path(kind));
        std::fs::remove_file(path(kind)).unwrap();
        connect(&certificate).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_no_keys() {
    let sshd = Sshd::with(
        "PubkeyAuthentication no\nAuthenticationMethods password\nPasswordAuthentication yes",
    );
    let connector = Connector::new(Arc::new(ssh::NoPrompt), None);
    let target = sshd.resolve(&sshd.settings());
    let error = Session::connect(&target, &connector).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not accept keys, only: password"),
        "{error}"
    );
}
