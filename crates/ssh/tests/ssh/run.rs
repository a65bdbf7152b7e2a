//! Running scripts.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use ssh::{
    Connector, Input, NoPrompt, OutputLine, OutputStream, RunOptions, Script, ScriptEvent, Session,
    SshError,
};
use zeroize::Zeroizing;

use crate::needs_root;
use crate::sshd::{Sshd, plain, script, sh, stdout};

fn bytes(text: &str) -> Input {
    Input::Bytes(Zeroizing::new(text.as_bytes().to_vec()))
}

#[tokio::test(flavor = "multi_thread")]
async fn output_status_and_environment() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let output = sh(
        &session,
        "echo out; echo err >&2; echo \"$#$LC_ALL\"; exit 7",
    )
    .await
    .unwrap();
    assert_eq!(stdout(&output), "out\n0C\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.status, 7);
    let output = sh(
        &session,
        "case $PATH in *:/usr/sbin:*) echo yes;; esac; cat",
    )
    .await
    .unwrap();
    assert_eq!(stdout(&output), "yes\n");
    let output = sh(&session, "kill -9 $(exec sh -c 'echo $PPID')")
        .await
        .unwrap();
    assert_eq!(output.status, 137);
    // No part of a script is ever lost to an odd end.
    let output = sh(&session, "printf a\\\nb # comment").await.unwrap();
    assert_eq!(stdout(&output), "ab");
    let output = sh(&session, "set -eu; false; echo no").await.unwrap();
    assert_eq!((output.status, stdout(&output).as_str()), (1, ""));
    let output = sh(&session, "if then").await.unwrap();
    assert_eq!(output.status, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_input_arrives_in_order_and_exactly() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let file = sshd.path("input");
    std::fs::write(&file, "from a file, and more").unwrap();
    let script = Script {
        name: "inputs".into(),
        text: "head -c 3; echo; head -c 11; echo; cat; echo; cat | wc -c".into(),
        input: vec![
            bytes("abc"),
            Input::File {
                path: file.clone(),
                size: 11,
            },
            bytes("rest\n--run-- x 1 1"),
        ],
    };
    let output = session.run(&script, &plain()).await.unwrap();
    assert_eq!(
        stdout(&output),
        "abc\nfrom a file\nrest\n--run-- x 1 1\n0\n"
    );
    let short = Script {
        input: vec![Input::File {
            path: file,
            size: 100,
        }],
        ..script.clone()
    };
    let error = session.run(&short, &plain()).await.unwrap_err();
    assert!(matches!(error, SshError::Input { .. }), "{error}");
    assert!(error.to_string().contains("shorter"), "{error}");
    let nul = Script {
        text: "echo \0".into(),
        ..Script::default()
    };
    assert!(matches!(
        session.run(&nul, &plain()).await,
        Err(SshError::Input { .. })
    ));
    // The connection has not suffered.
    assert_eq!(sh(&session, "exit 3").await.unwrap().status, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_arrive_unharmed() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let mut data = vec![0u8; 50 << 20];
    let mut state = 1u32;
    for byte in &mut data {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    let path = sshd.path("payload");
    std::fs::write(&path, &data).unwrap();
    let expected: String = Sha256::digest(&data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let script = Script {
        name: "payload".into(),
        text: format!("head -c {} | sha256sum; cat | wc -c", data.len()),
        input: vec![
            Input::File {
                path,
                size: data.len() as u64,
            },
            bytes("tail"),
        ],
    };
    let options = RunOptions {
        timeout: Duration::from_secs(60),
        ..plain()
    };
    let output = session.run(&script, &options).await.unwrap();
    assert_eq!(stdout(&output), format!("{expected}  -\n4\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_reads_nothing_of_its_input_ends_all_the_same() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let script = Script {
        name: "deaf".into(),
        text: "echo done; exit 5".into(),
        input: vec![Input::Bytes(Zeroizing::new(vec![0; 8 << 20]))],
    };
    let output = session.run(&script, &plain()).await.unwrap();
    assert_eq!((stdout(&output).as_str(), output.status), ("done\n", 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_come_while_it_runs() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let begun = Instant::now();
    let mut seen: Vec<(OutputLine, Duration)> = Vec::new();
    let mut on_event = |event| {
        if let ScriptEvent::Line(line) = event {
            seen.push((line, begun.elapsed()));
        }
    };
    let text = "echo one; echo two >&2; sleep 0.6; printf three";
    let output = session
        .run_with(&script(text), &plain(), &mut on_event)
        .await
        .unwrap();
    assert_eq!(stdout(&output), "one\nthree");
    let texts: Vec<_> = seen.iter().map(|(line, _)| line.text.as_str()).collect();
    assert_eq!(texts.len(), 3);
    assert!(texts.contains(&"two") && texts[2] == "three");
    assert_eq!(
        seen.iter()
            .filter(|(line, _)| line.stream == OutputStream::Stderr)
            .count(),
        1
    );
    assert!(
        seen[2].1 - seen[0].1 > Duration::from_millis(400),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_an_upload_are_reported_until_all_are_sent() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let path = sshd.path("payload");
    let size: u64 = 24 << 20;
    std::fs::write(&path, vec![7; 24 << 20]).unwrap();
    let script = Script {
        name: "payload".into(),
        // Slow enough for several reports.
        text: "head -c 8388608 | wc -c; sleep 0.3; head -c 8388608 | wc -c; sleep 0.3; cat | wc -c"
            .into(),
        input: vec![Input::File { path, size }, bytes("tail")],
    };
    let options = RunOptions {
        timeout: Duration::from_secs(60),
        ..plain()
    };
    let mut reports = Vec::new();
    let mut on_event = |event| {
        if let ScriptEvent::Sent { bytes, total } = event {
            reports.push((bytes, total, Instant::now()));
        }
    };
    session
        .run_with(&script, &options, &mut on_event)
        .await
        .unwrap();
    let sent: Vec<u64> = reports.iter().map(|report| report.0).collect();
    let all = size + 4;
    assert!(sent.len() > 2, "{sent:?}");
    assert!(sent.is_sorted_by(|a, b| a < b), "{sent:?}");
    assert_eq!(sent.last(), Some(&all));
    assert!(reports.iter().all(|report| report.1 == all), "{reports:?}");
    let took = reports[reports.len() - 1].2 - reports[0].2;
    let allowed = took.as_millis() / 100 + 3;
    assert!(
        (sent.len() as u128) <= allowed,
        "{} in {took:?}",
        sent.len()
    );

    // No input, no report.
    let mut on_event = |event| assert!(matches!(event, ScriptEvent::Line(_)), "{event:?}");
    session
        .run_with(&crate::sshd::script("echo out"), &plain(), &mut on_event)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn login_noise_is_cut_off() {
    needs_root!();
    let sshd = Sshd::start();
    let session = sshd.connect_as("noisy").await;
    let output = sh(&session, "echo clean; echo tidy >&2").await.unwrap();
    assert_eq!(stdout(&output), "clean\n");
    assert_eq!(output.stderr, b"tidy\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_login_shell_will_do() {
    needs_root!();
    let sshd = Sshd::start();
    for (user, shell) in [
        ("asked", "bash"),
        ("plain", "sh"),
        ("fish", "fish"),
        ("zsh", "zsh"),
    ] {
        if !["/bin", "/usr/bin"].iter().any(|dir| sshd_has(dir, shell)) {
            eprintln!("{shell} is not installed");
            continue;
        }
        let session = sshd.connect_as(user).await;
        let output = sh(&session, "echo \"$HOME\"; exit 4").await.unwrap();
        assert!(
            stdout(&output).ends_with(&format!("home-{user}\n")),
            "{shell}: {output:?}"
        );
        assert_eq!(output.status, 4, "{shell}");
    }
}

fn sshd_has(dir: &str, shell: &str) -> bool {
    std::path::Path::new(dir).join(shell).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_shell_is_named() {
    let sshd = Sshd::with("ForceCommand echo 'This account is \x1b[31mnot available.'; exit 1");
    let session = sshd.connect().await;
    let error = sh(&session, "true").await.unwrap_err();
    assert!(
        matches!(error, SshError::Shell { status: 1, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("\\u{1b}[31mnot available"),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_an_error_and_hurts_nobody_else() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let options = RunOptions {
        max_output: 1 << 20,
        ..plain()
    };
    let flood = script("head -c 100000000 /dev/zero; sleep 1000");
    let (flooded, other) = tokio::join!(
        session.run(&flood, &options),
        sh(&session, "sleep 0.2; echo fine")
    );
    let error = flooded.unwrap_err();
    assert!(
        matches!(
            error,
            SshError::OutputTooLarge {
                limit: 1_048_576,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(stdout(&other.unwrap()), "fine\n");
    let quiet = script("head -c 1048577 /dev/zero >&2");
    let error = session.run(&quiet, &options).await.unwrap_err();
    assert!(error.to_string().contains("standard error"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_on_one_connection() {
    for config in ["", "MaxSessions 3"] {
        let sshd = Sshd::with(config);
        let session = sshd.connect().await;
        let runs = (0..20).map(|n| {
            let session = session.clone();
            async move { sh(&session, &format!("sleep 0.1; echo {n}")).await }
        });
        let outputs = futures::future::join_all(runs).await;
        for (n, output) in outputs.into_iter().enumerate() {
            assert_eq!(stdout(&output.unwrap()), format!("{n}\n"), "{config}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_leaves_behind_does_not_hold_us_up() {
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    let begun = Instant::now();
    let output = sh(&session, "sleep 20 & echo started").await.unwrap();
    assert_eq!(stdout(&output), "started\n");
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_counted_and_observed() {
    let sshd = Sshd::start();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let seen = seen.clone();
        Arc::new(move |finished: &ssh::Finished<'_>| {
            let status = *finished.outcome.as_ref().unwrap();
            seen.lock().unwrap().push((
                finished.host.to_string(),
                finished.script.to_string(),
                status,
            ));
        })
    };
    let connector = Connector::new(Arc::new(NoPrompt), Some(observer));
    let target = sshd.resolve(&sshd.settings());
    let session = Session::connect(&target, &connector).await.unwrap();
    sh(&session, "exit 0").await.unwrap();
    sh(&session, "exit 9").await.unwrap();
    assert_eq!(
        (connector.stats().connections, connector.stats().commands),
        (1, 2)
    );
    let expected = [
        ("node".to_string(), "test".to_string(), 0),
        ("node".into(), "test".into(), 9),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_with_a_time_limit_ends_no_script() {
    needs_root!();
    // bash reads TMOUT as `sh`, too, where it limits each `read`.
    let sshd = Sshd::prepared(
        "SetEnv TMOUT=1 CDPATH=/tmp",
        "mount --bind \"$(command -v bash)\" \"$(readlink -f /bin/sh)\"",
    );
    let session = sshd.connect().await;
    let output = sh(
        &session,
        "echo \"${BASH_VERSION:+bash} ${TMOUT-unset} ${CDPATH-unset}\"; sleep 3; echo done",
    )
    .await
    .unwrap();
    assert_eq!(stdout(&output), "bash unset unset\ndone\n");
    assert_eq!(output.status, 0);
}
