//! Hosts that misbehave.

use std::time::{Duration, Instant};

use ssh::{ConnectFailure, Settings, SshError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::sshd::{Sshd, eventually, kill, running, sh, unique_sleep};

fn settings(sshd: &Sshd, port: u16) -> Settings {
    Settings {
        port: Some(port),
        connect_timeout: Some(Duration::from_secs(1)),
        ..sshd.settings()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_lost_at_once() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let sleep = unique_sleep();
    let run = tokio::spawn({
        let (session, sleep) = (session.clone(), sleep.clone());
        async move { sh(&session, &sleep).await }
    });
    eventually("it runs", Duration::from_secs(5), || running(&sleep)).await;
    let begun = Instant::now();
    kill("KILL", &sshd.connection_pids());
    let error = run.await.unwrap().unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(session.is_closed());
    assert!(matches!(
        sh(&session, "true").await,
        Err(SshError::Lost { .. })
    ));
    eventually("it is gone", Duration::from_secs(6), || !running(&sleep)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_falls_silent_is_given_up() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    sshd.signal("STOP");
    let begun = Instant::now();
    let options = ssh::RunOptions {
        timeout: Duration::from_secs(60),
        root: false,
        ..Default::default()
    };
    let error = session
        .run(&crate::sshd::script("true"), &options)
        .await
        .unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("stopped responding"), "{error}");
    let took = begun.elapsed().as_secs();
    assert!((14..25).contains(&took), "{took} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() {
    let sshd = Sshd::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = sshd.connect_with(&settings(&sshd, port)).await.unwrap_err();
    assert!(
        matches!(
            error,
            SshError::Connect {
                kind: ConnectFailure::Refused,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_transient() && error.hint().is_some());
    let nowhere = Settings {
        address: "no-such-host.invalid".into(),
        ..sshd.settings()
    };
    let error = sshd.connect_with(&nowhere).await.unwrap_err();
    assert!(matches!(error, SshError::Resolve { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_speak_no_ssh() {
    let sshd = Sshd::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Silence, HTTP, a hang-up, endless lines, an endless line, half a
    // handshake.
    let garbage: [&[u8]; 6] = [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"bye",
        b"noise\n",
        b"xxxxxxxx",
        b"SSH-2.0-OpenSSH_9.2\r\n\x00\x00\x00\x0c\x0a\x14",
    ];
    tokio::spawn(async move {
        for (index, text) in garbage.into_iter().enumerate() {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.write_all(text).await;
                match index {
                    1 | 2 => return,
                    3 | 4 => while stream.write_all(&text.repeat(10_000)).await.is_ok() {},
                    _ => {}
                }
                let _ = stream.read_to_end(&mut Vec::new()).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
            });
        }
    });
    for index in 0..6 {
        let begun = Instant::now();
        let error = sshd.connect_with(&settings(&sshd, port)).await.unwrap_err();
        assert!(
            matches!(error, SshError::Handshake { .. } | SshError::Timeout { .. }),
            "{index}: {error}"
        );
        assert!(begun.elapsed() < Duration::from_secs(3), "{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_closed_channels() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    // Output closed early, long before the exit status.
    let output = sh(&session, "echo a; exec >&- 2>&-; sleep 0.3; exit 6")
        .await
        .unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.status),
        (b"a\n".as_slice(), 6)
    );
    // Input closed early.
    let output = sh(&session, "exec <&-; sleep 0.3; echo b").await.unwrap();
    assert_eq!(output.stdout, b"b\n");
}
