//! TCP through the host.

use std::time::Duration;

use ssh::SshError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::sshd::{Sshd, sh};

async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn there_and_back() {
    let sshd = Sshd::start();
    let port = echo().await;
    let session = sshd.connect().await;
    let forward = session.forward("127.0.0.1", port).await.unwrap();
    // The stream alone keeps the connection.
    drop(session);
    let (mut read, mut write) = tokio::io::split(forward);
    let data: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    let sent = data.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    read.read_to_end(&mut back).await.unwrap();
    writing.await.unwrap();
    assert!(back == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_stalls_nobody_else() {
    let sshd = Sshd::start();
    let port = echo().await;
    let session = sshd.connect().await;
    let mut forward = session.forward("127.0.0.1", port).await.unwrap();
    let writing = tokio::spawn(async move {
        let chunk = vec![0; 1 << 20];
        for _ in 0..30 {
            forward.write_all(&chunk).await.unwrap();
        }
        forward
    });
    let mut forward = writing.await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sh(&session, "exit 3").await.unwrap().status, 3);
    let mut back = vec![0; 30 << 20];
    forward.read_exact(&mut back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_whose_they_are() {
    let sshd = Sshd::with("AllowTcpForwarding no");
    let session = sshd.connect().await;
    let error = session
        .forward("127.0.0.1", echo().await)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SshError::ForwardRefused {
                prohibited: true,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("AllowTcpForwarding"));

    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let error = session.forward("127.0.0.1", 1).await.unwrap_err();
    assert!(
        matches!(
            error,
            SshError::ForwardRefused {
                prohibited: false,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.hint().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_an_error_not_an_end() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let mut forward = session.forward("127.0.0.1", echo().await).await.unwrap();
    drop(sshd);
    let mut byte = [0];
    let error = forward.read_exact(&mut byte).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
}
