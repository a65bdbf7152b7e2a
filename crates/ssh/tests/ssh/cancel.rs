//! What a script starts dies with the run.

use std::time::{Duration, Instant};

use ssh::{Input, RunOptions, Script, SshError};
use zeroize::Zeroizing;

use crate::needs_root;
use crate::sshd::{Sshd, eventually, plain, running, script, sh, unique_sleep};

const SOON: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_kills() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let sleep = unique_sleep();
    let options = RunOptions {
        timeout: Duration::from_millis(500),
        ..plain()
    };
    let begun = Instant::now();
    let text = format!("{sleep} & {sleep} | cat; echo over");
    let error = session.run(&script(&text), &options).await.unwrap_err();
    assert!(matches!(error, SshError::Timeout { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    eventually("the processes are gone", SOON, || !running(&sleep)).await;
    assert_eq!(sh(&session, "exit 3").await.unwrap().status, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_run_kills_even_the_stubborn() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let sleep = unique_sleep();
    let text = format!("trap '' TERM HUP INT; {sleep}");
    let run = tokio::spawn({
        let session = session.clone();
        async move { sh(&session, &text).await }
    });
    eventually("it runs", SOON, || running(&sleep)).await;
    run.abort();
    eventually("it is gone", SOON, || !running(&sleep)).await;
    assert!(!session.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_dropped_while_its_input_is_sent_fails_there() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let marker = sshd.path("half");
    let file = sshd.path("data");
    std::fs::write(&file, [0; 1000]).unwrap();
    let script = Script {
        name: "half".into(),
        // The second input never comes: the file is shorter than announced.
        text: format!(
            "head -c 1000 >/dev/null; touch {0}.began; [ $(head -c 1000 | wc -c) -eq 1000 ] || exit 9; touch {0}",
            marker.display()
        ),
        input: vec![
            Input::Bytes(Zeroizing::new(vec![0; 1000])),
            Input::File {
                path: file,
                size: 2000,
            },
        ],
    };
    session.run(&script, &plain()).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!marker.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_client_kills() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let sleep = unique_sleep();
    let run = tokio::spawn({
        let (session, text) = (session.clone(), sleep.clone());
        async move { sh(&session, &text).await }
    });
    eventually("it runs", SOON, || running(&sleep)).await;
    // As if this process had been killed: the connection just ends.
    session.close().await;
    let error = run.await.unwrap().unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
    eventually("it is gone", SOON, || !running(&sleep)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_sudo_as_well_with_and_without_a_pty() {
    needs_root!();
    let sshd = Sshd::start();
    for user in ["free", "pty"] {
        let session = sshd.connect_as(user).await;
        let sleep = unique_sleep();
        let run = tokio::spawn({
            let session = session.clone();
            let options = RunOptions {
                root: true,
                ..plain()
            };
            let text = format!("[ $(id -u) = 0 ] && {sleep}");
            async move { session.run(&script(&text), &options).await }
        });
        eventually(&format!("it runs for {user}"), SOON, || running(&sleep)).await;
        run.abort();
        eventually(&format!("it is gone for {user}"), SOON, || !running(&sleep)).await;
    }
}
