//! Who is on the other side.

use std::process::Command;
use std::sync::Arc;

use ssh::{Connector, NoPrompt, Settings, SshError, append_known_host, scan_host_keys};

use crate::sshd::{Sshd, connector, new_key, sh};

async fn error_with(sshd: &Sshd, known_hosts: &str) -> SshError {
    std::fs::write(sshd.path("known_hosts"), known_hosts).unwrap();
    sshd.connect_with(&sshd.settings()).await.unwrap_err()
}

fn ssh_keygen(args: &[&str]) -> String {
    let output = Command::new("ssh-keygen")
        .args(args)
        .output()
        .expect("no ssh-keygen found: install openssh-client");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_changed_revoked() {
    let sshd = Sshd::start();
    let right = sshd.known_hosts_line();
    let fingerprint = ssh_keygen(&["-lf", sshd.path("host_key.pub").to_str().unwrap()]);
    let fingerprint = fingerprint.split(' ').nth(1).unwrap();

    let error = error_with(&sshd, "").await;
    assert!(matches!(error, SshError::HostKeyUnknown { .. }), "{error}");
    assert!(
        error.to_string().contains(fingerprint),
        "{error} != {fingerprint}"
    );
    assert_eq!(
        error.hint().unwrap().split("then: ").nth(1),
        Some("clusterctl-rs hosts trust node")
    );

    let other = new_key().public_key().to_openssh().unwrap();
    let wrong = format!("# a comment\n[127.0.0.1]:{} {other}\n", sshd.port);
    let error = error_with(&sshd, &wrong).await;
    assert!(
        matches!(error, SshError::HostKeyChanged { line: 2, .. }),
        "{error}"
    );

    let error = error_with(&sshd, &format!("{right}@revoked {right}")).await;
    assert!(
        matches!(&error, SshError::HostKeyRevoked { place, .. } if place.line == Some(2)),
        "{error}"
    );

    std::fs::remove_file(sshd.path("known_hosts")).unwrap();
    std::fs::create_dir(sshd.path("known_hosts")).unwrap();
    let error = sshd.connect_with(&sshd.settings()).await.unwrap_err();
    assert!(matches!(error, SshError::File { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_ssh_keygen_hashed() {
    let sshd = Sshd::start();
    ssh_keygen(&["-H", "-f", sshd.path("known_hosts").to_str().unwrap()]);
    let text = std::fs::read_to_string(sshd.path("known_hosts")).unwrap();
    assert!(text.starts_with("|1|"), "{text}");
    sshd.connect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_that_is_known_is_the_one_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let rsa = dir.path().join("rsa");
    ssh_keygen(&[
        "-q",
        "-t",
        "rsa",
        "-b",
        "2048",
        "-N",
        "",
        "-f",
        rsa.to_str().unwrap(),
    ]);
    let sshd = Sshd::with(&format!("HostKey {}", rsa.display()));
    let public = std::fs::read_to_string(dir.path().join("rsa.pub")).unwrap();
    let line = format!("[127.0.0.1]:{} {public}", sshd.port);
    std::fs::write(sshd.path("known_hosts"), line).unwrap();
    sshd.connect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &path("ca")]);
    ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &path("key")]);
    let sign = |principal: &str, validity: &str| {
        ssh_keygen(&[
            "-q",
            "-s",
            &path("ca"),
            "-I",
            "id",
            "-h",
            "-n",
            principal,
            "-V",
            validity,
            &path("key.pub"),
        ]);
    };
    let config = format!(
        "HostKey {}\nHostCertificate {}",
        path("key"),
        path("key-cert.pub")
    );
    let authority = std::fs::read_to_string(path("ca.pub")).unwrap();
    let trust = format!("@cert-authority * {authority}");

    sign("127.0.0.1", "-1d:+1d");
    let sshd = Sshd::with(&config);
    std::fs::write(sshd.path("known_hosts"), &trust).unwrap();
    let session = sshd.connect().await;
    assert_eq!(sh(&session, "exit 3").await.unwrap().status, 3);
    let error = error_with(&sshd, &format!("{trust}@revoked * {authority}")).await;
    assert!(matches!(error, SshError::HostKeyRevoked { .. }), "{error}");

    for (principal, validity) in [("elsewhere", "-1d:+1d"), ("127.0.0.1", "-2d:-1d")] {
        sign(principal, validity);
        let sshd = Sshd::with(&config);
        let error = error_with(&sshd, &trust).await;
        assert!(matches!(error, SshError::HostCertificate { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scanning_shows_what_ssh_keygen_shows_and_trusting_works() {
    let dir = tempfile::tempdir().unwrap();
    let rsa = dir.path().join("rsa");
    ssh_keygen(&[
        "-q",
        "-t",
        "rsa",
        "-b",
        "2048",
        "-N",
        "",
        "-f",
        rsa.to_str().unwrap(),
    ]);
    let sshd = Sshd::with(&format!("HostKey {}", rsa.display()));
    let target = sshd.resolve(&sshd.settings());
    // The key that the harness trusts is known, the other one is not yet.
    let found = scan_host_keys(&target, &connector()).await.unwrap();
    let known: Vec<_> = found.keys.iter().map(|key| key.known).collect();
    assert_eq!(known, [true, false]);
    assert_eq!((found.name.as_str(), found.port), ("127.0.0.1", sshd.port));
    let algorithms: Vec<_> = found
        .keys
        .iter()
        .map(|key| key.algorithm.as_str())
        .collect();
    assert_eq!(algorithms, ["ssh-ed25519", "ssh-rsa"]);
    for (key, file) in found
        .keys
        .iter()
        .zip([sshd.path("host_key.pub"), dir.path().join("rsa.pub")])
    {
        let line = ssh_keygen(&["-lf", file.to_str().unwrap()]);
        assert!(
            line.contains(&key.fingerprint),
            "{line} {}",
            key.fingerprint
        );
    }
    let other = new_key().public_key().to_openssh().unwrap();
    let wrong = format!("[127.0.0.1]:{} {other}\n", sshd.port);
    std::fs::write(sshd.path("known_hosts"), wrong).unwrap();
    let error = scan_host_keys(&target, &connector()).await.unwrap_err();
    assert!(
        matches!(error, SshError::HostKeyChanged { line: 1, .. }),
        "{error}"
    );

    let file = sshd.path("state/known_hosts");
    for key in &found.keys {
        append_known_host(&file, &found.name, found.port, &key.key).unwrap();
    }
    let settings = Settings {
        known_hosts: vec![file],
        ..sshd.settings()
    };
    sshd.connect_with(&settings).await.unwrap();
}

/// The error of connecting with these lines of `ssh_config`, if it is one.
async fn connect_with_config(sshd: &Sshd, config: &str) -> Option<SshError> {
    let station = sshd.workstation();
    std::fs::create_dir_all(station.home.join(".ssh")).unwrap();
    std::fs::write(station.ssh_config.as_ref().unwrap(), config).unwrap();
    let settings = Settings {
        use_ssh_config: true,
        ..sshd.settings()
    };
    sshd.connect_with(&settings).await.err()
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_host_keys_are_refused() {
    let sshd = Sshd::start();
    let here = sshd.dir.path().display().to_string();
    let config = format!("RevokedHostKeys {here}/%n.revoked\n");
    let error = connect_with_config(&sshd, &config).await.unwrap();
    assert!(matches!(error, SshError::File { .. }), "{error}");
    let file = sshd.path("127.0.0.1.revoked");
    std::fs::write(&file, new_key().public_key().to_openssh().unwrap()).unwrap();
    assert!(connect_with_config(&sshd, &config).await.is_none());
    let key = std::fs::read_to_string(sshd.path("host_key.pub")).unwrap();
    std::fs::write(&file, format!("# stolen\n{key}\n")).unwrap();
    let error = connect_with_config(&sshd, &config).await.unwrap();
    assert!(
        matches!(&error, SshError::HostKeyRevoked { place, .. } if place.line == Some(2)),
        "{error}"
    );
    // Nor can such a key become trusted.
    let settings = Settings {
        use_ssh_config: true,
        ..sshd.settings()
    };
    let error = scan_host_keys(&sshd.resolve(&settings), &connector())
        .await
        .unwrap_err();
    assert!(matches!(error, SshError::HostKeyRevoked { .. }), "{error}");
    ssh_keygen(&[
        "-q",
        "-k",
        "-f",
        file.to_str().unwrap(),
        sshd.path("host_key.pub").to_str().unwrap(),
    ]);
    let error = connect_with_config(&sshd, &config).await.unwrap();
    assert!(
        matches!(&error, SshError::HostKeyRevoked { place, .. } if place.line.is_none()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_prints_known_hosts() {
    let sshd = Sshd::start();
    let here = sshd.dir.path().display().to_string();
    let line = sshd.known_hosts_line();
    std::fs::write(sshd.path("known_hosts"), "").unwrap();
    let config =
        format!("KnownHostsCommand /bin/sh -c \"cat {here}/printed; echo %I %H >>{here}/asked\"\n");
    std::fs::write(sshd.path("printed"), &line).unwrap();
    assert!(connect_with_config(&sshd, &config).await.is_none());
    let asked = std::fs::read_to_string(sshd.path("asked")).unwrap();
    let name = format!("[127.0.0.1]:{}", sshd.port);
    assert_eq!(asked, format!("ORDER {name}\nHOSTNAME {name}\n"));
    std::fs::write(sshd.path("printed"), format!("@revoked {line}")).unwrap();
    let error = connect_with_config(&sshd, &config).await.unwrap();
    assert!(matches!(error, SshError::HostKeyRevoked { .. }), "{error}");
    let error = connect_with_config(&sshd, "KnownHostsCommand /bin/false\n")
        .await
        .unwrap();
    assert!(
        error.to_string().contains("KnownHostsCommand /bin/false"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn algorithms_that_are_not_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let rsa = dir.path().join("rsa");
    ssh_keygen(&[
        "-q",
        "-t",
        "rsa",
        "-b",
        "2048",
        "-N",
        "",
        "-f",
        rsa.to_str().unwrap(),
    ]);
    let sshd = Sshd::with(&format!("HostKey {}", rsa.display()));
    let public = std::fs::read_to_string(dir.path().join("rsa.pub")).unwrap();
    let both = format!(
        "{}[127.0.0.1]:{} {public}",
        sshd.known_hosts_line(),
        sshd.port
    );
    std::fs::write(sshd.path("known_hosts"), both).unwrap();
    assert!(
        connect_with_config(&sshd, "HostKeyAlgorithms rsa-sha2-256\n")
            .await
            .is_none()
    );
    let strict = "HostKeyAlgorithms rsa-sha2-256\nRequiredRSASize 3072\n";
    let error = connect_with_config(&sshd, strict).await.unwrap();
    assert!(matches!(error, SshError::HostKeyRefused { .. }), "{error}");
    let error = connect_with_config(&sshd, "HostKeyAlgorithms ecdsa-sha2-nistp256\n")
        .await
        .unwrap();
    assert!(matches!(error, SshError::Handshake { .. }), "{error}");
    assert!(
        connect_with_config(&sshd, "Ciphers aes256-ctr\nMACs hmac-sha2-512\n")
            .await
            .is_none()
    );
    assert!(
        connect_with_config(&sshd, "KexAlgorithms ecdh-sha2-nistp256\n")
            .await
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_to_connect_from() {
    let sshd = Sshd::start();
    assert!(
        connect_with_config(&sshd, "BindAddress 127.0.0.1\nAddressFamily inet\n")
            .await
            .is_none()
    );
    let error = connect_with_config(&sshd, "BindAddress 192.0.2.1\n")
        .await
        .unwrap();
    assert!(
        error.to_string().contains("cannot connect from 192.0.2.1"),
        "{error}"
    );
    assert!(
        connect_with_config(&sshd, "BindInterface lo\n")
            .await
            .is_none()
    );
    let error = connect_with_config(&sshd, "BindInterface no-such-0\n")
        .await
        .unwrap();
    assert!(
        error.to_string().contains("cannot connect from no-such-0"),
        "{error}"
    );
    let error = connect_with_config(&sshd, "AddressFamily inet6\n")
        .await
        .unwrap();
    assert!(matches!(error, SshError::Resolve { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hop_is_verified() {
    let jump = Sshd::start();
    let inner = Sshd::start();
    let key = std::fs::read_to_string(jump.path("authorized_keys")).unwrap();
    std::fs::write(inner.path("authorized_keys"), key).unwrap();
    let both = format!("{}{}", jump.known_hosts_line(), inner.known_hosts_line());
    std::fs::write(jump.path("known_hosts"), both).unwrap();
    let settings = Settings {
        port: Some(inner.port),
        proxy_jump: Some(format!("127.0.0.1:{}", jump.port)),
        ..jump.settings()
    };
    let target = jump.resolve(&settings);
    let connector = Connector::new(Arc::new(NoPrompt), None);
    let sessions =
        futures::future::join_all((0..5).map(|_| ssh::Session::connect(&target, &connector))).await;
    for session in &sessions {
        let output = sh(session.as_ref().unwrap(), "exit 3").await.unwrap();
        assert_eq!(output.status, 3);
    }
    // One to the jump host, however many go through it.
    assert_eq!(connector.stats().connections, 6);

    for (known, port) in [(&inner, jump.port), (&jump, inner.port)] {
        std::fs::write(jump.path("known_hosts"), known.known_hosts_line()).unwrap();
        let error = jump.connect_with(&settings).await.unwrap_err();
        assert!(
            matches!(&error, SshError::HostKeyUnknown { presented } if presented.port == port),
            "{error}"
        );
    }
}
