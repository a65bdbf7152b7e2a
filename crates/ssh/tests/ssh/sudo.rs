//! Becoming root.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ssh::{
    Connector, Input, Output, Prompt, RunOptions, Script, Secret, Session, Settings, SshError,
    SudoFailure,
};
use zeroize::Zeroizing;

use crate::needs_root;
use crate::sshd::{Answer, PASSWORD, Sshd, connector, plain, script, stdout};

fn as_root() -> RunOptions {
    RunOptions {
        root: true,
        ..plain()
    }
}

async fn whoami(session: &Session) -> Result<Output, SshError> {
    let script = Script {
        input: vec![Input::Bytes(Zeroizing::new(b"input".to_vec()))],
        ..script("id -u; cat; echo tidy >&2")
    };
    session.run(&script, &as_root()).await
}

fn is_fine(output: &Output) -> bool {
    stdout(output) == "0\ninput" && output.stderr == b"tidy\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn root_needs_no_sudo() {
    needs_root!();
    let sshd = Sshd::start();
    let session = sshd.connect().await;
    assert!(is_fine(&whoami(&session).await.unwrap()));
    let settings = Settings {
        become_root: Some(true),
        ..sshd.settings()
    };
    let session = sshd.connect_with(&settings).await.unwrap();
    assert!(is_fine(&whoami(&session).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_password() {
    needs_root!();
    let sshd = Sshd::start();
    for user in ["free", "pty", "fish", "zsh"] {
        if !["fish", "zsh"].contains(&user) || std::path::Path::new("/usr/bin").join(user).exists()
        {
            let session = sshd.connect_as(user).await;
            let output = whoami(&session).await.unwrap();
            assert!(is_fine(&output), "{user}: {output:?}");
        }
    }
    let settings = Settings {
        user: Some("free".into()),
        become_root: Some(false),
        ..sshd.settings()
    };
    let session = sshd.connect_with(&settings).await.unwrap();
    assert_eq!(stdout(&whoami(&session).await.unwrap()), "61002\ninput");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_once() {
    needs_root!();
    let sshd = Sshd::start();
    let prompt = Answer::new(PASSWORD);
    let connector = Connector::new(prompt.clone(), None);
    let settings = Settings {
        user: Some("asked".into()),
        ..sshd.settings()
    };
    let target = sshd.resolve(&settings);
    let first = Session::connect(&target, &connector).await.unwrap();
    assert!(is_fine(&whoami(&first).await.unwrap()));
    // Once without, to learn that it is wanted.
    assert_eq!(connector.stats().commands, 2);
    assert!(is_fine(&whoami(&first).await.unwrap()));
    assert_eq!(connector.stats().commands, 3);
    let second = Session::connect(&target, &connector).await.unwrap();
    assert!(is_fine(&whoami(&second).await.unwrap()));
    assert_eq!(prompt.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_from_a_file() {
    needs_root!();
    let sshd = Sshd::start();
    std::fs::write(sshd.path("password"), format!("{PASSWORD}\n")).unwrap();
    // `free` and root are not asked for it; it must not end up in the script.
    for user in ["asked", "free", "root"] {
        let settings = Settings {
            user: Some(user.into()),
            become_root: Some(true),
            become_password_file: Some(sshd.path("password")),
            ..sshd.settings()
        };
        let connector = connector();
        let session = Session::connect(&sshd.resolve(&settings), &connector)
            .await
            .unwrap();
        let output = whoami(&session).await.unwrap();
        assert!(is_fine(&output), "{user}: {output:?}");
        assert_eq!(connector.stats().commands, 1, "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password() {
    needs_root!();
    let sshd = Sshd::start();
    std::fs::write(sshd.path("password"), "wrong\n").unwrap();
    let settings = Settings {
        user: Some("asked".into()),
        become_password_file: Some(sshd.path("password")),
        ..sshd.settings()
    };
    let session = sshd.connect_with(&settings).await.unwrap();
    let error = whoami(&session).await.unwrap_err();
    let wrong = SudoFailure::WrongPassword;
    assert!(
        matches!(error, SshError::Sudo { kind, .. } if kind == wrong),
        "{error}"
    );
    // Nothing but the one password was ever offered to sudo.
    let log = std::fs::read_to_string(sshd.path("log")).unwrap();
    assert!(!log.contains("3 incorrect"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_and_no_terminal() {
    needs_root!();
    let sshd = Sshd::start();
    let session = sshd.connect_as("asked").await;
    let error = whoami(&session).await.unwrap_err();
    let needed = SudoFailure::PasswordNeeded;
    assert!(
        matches!(error, SshError::Sudo { kind, .. } if kind == needed),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("becomePasswordFile"));
}

#[tokio::test(flavor = "multi_thread")]
async fn not_allowed_and_not_installed() {
    needs_root!();
    let sshd = Sshd::start();
    let connector = Connector::new(Answer::new(PASSWORD), None);
    let settings = Settings {
        user: Some("plain".into()),
        ..sshd.settings()
    };
    let session = Session::connect(&sshd.resolve(&settings), &connector)
        .await
        .unwrap();
    let error = whoami(&session).await.unwrap_err();
    let denied = SudoFailure::NotAllowed;
    assert!(
        matches!(error, SshError::Sudo { kind, .. } if kind == denied),
        "{error}"
    );

    let sshd = Sshd::prepared("", "mount --bind /dev/null $(command -v sudo)");
    let session = sshd.connect_as("free").await;
    let error = whoami(&session).await.unwrap_err();
    let missing = SudoFailure::NotInstalled;
    assert!(
        matches!(error, SshError::Sudo { kind, .. } if kind == missing),
        "{error}"
    );
}

/// Answers wrongly first.
struct Forgetful(AtomicU32);

impl Prompt for Forgetful {
    fn passphrase(&self, _: &Path, _: bool) -> std::io::Result<Secret> {
        Err(std::io::Error::other("not asked for here"))
    }

    fn sudo_password(&self, user: &str, _: &str, again: bool) -> std::io::Result<Secret> {
        assert_eq!(user, "asked");
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        assert_eq!(again, !first);
        Ok(Secret::new(if first { "wrong" } else { PASSWORD }.into()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_password_is_asked_for_again() {
    needs_root!();
    let sshd = Sshd::start();
    let connector = Connector::new(Arc::new(Forgetful(AtomicU32::new(0))), None);
    let settings = Settings {
        user: Some("asked".into()),
        ..sshd.settings()
    };
    let session = Session::connect(&sshd.resolve(&settings), &connector)
        .await
        .unwrap();
    assert!(is_fine(&whoami(&session).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_in_any_argv_or_environment() {
    needs_root!();
    let sshd = Sshd::start();
    std::fs::write(sshd.path("password"), format!("{PASSWORD}\n")).unwrap();
    let settings = Settings {
        user: Some("asked".into()),
        become_password_file: Some(sshd.path("password")),
        ..sshd.settings()
    };
    let session = sshd.connect_with(&settings).await.unwrap();
    let script = Script {
        input: vec![Input::Bytes(Zeroizing::new(b"in-the-input".to_vec()))],
        ..script(
            "x=in-the-script; read -r y; \
             cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\000' ' '",
        )
    };
    let output = session.run(&script, &as_root()).await.unwrap();
    let seen = stdout(&output);
    assert!(
        seen.contains("--ready--"),
        "our own command line should be there: {seen}"
    );
    for secret in [PASSWORD, "in-the-input", "in-the-script"] {
        assert!(!seen.contains(secret), "{secret}");
    }
}
