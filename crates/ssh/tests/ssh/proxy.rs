//! Connecting by a command.

use std::time::Duration;

use ssh::{Session, Settings, SshError, Target};

use crate::sshd::{Sshd, connector, eventually, running, sh, stdout, unique_sleep};

/// The host behind a command, which `ssh_config` has.
fn behind(sshd: &Sshd, command: &str) -> Target {
    let station = sshd.workstation();
    std::fs::create_dir_all(station.home.join(".ssh")).unwrap();
    let config = format!("ProxyCommand {command}\n");
    std::fs::write(station.ssh_config.as_ref().unwrap(), config).unwrap();
    let settings = Settings {
        use_ssh_config: true,
        ..sshd.settings()
    };
    Target::resolve("node", &settings, &station).unwrap()
}

/// Both ways between standard input and output and a port, by bash alone.
const RELAY: &str = "bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3; wait'";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_leads_to_sshd_and_ends_with_the_session() {
    let sshd = Sshd::start();
    let sleep = unique_sleep();
    // The shell reads it, and finds the user's name where the token was.
    let command = format!("{RELAY} {sleep} \"%r $HOME\" # a comment");
    let session = Session::connect(&behind(&sshd, &command), &connector())
        .await
        .unwrap();
    let output = sh(&session, "head -c 3000000 /dev/zero | wc -c")
        .await
        .unwrap();
    assert_eq!(stdout(&output).trim(), "3000000");
    assert!(running(&sleep));
    session.close().await;
    eventually("the command ends", Duration::from_secs(5), || {
        !running(&sleep)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_says_why() {
    let sshd = Sshd::start();
    let fail = async |command: &str| {
        let mut target = behind(&sshd, command);
        target.connect_timeout = Duration::from_secs(2);
        Session::connect(&target, &connector()).await.unwrap_err()
    };
    let error = fail("sh -c 'echo no route >&2; exit 3'").await;
    assert!(matches!(error, SshError::ProxyCommand { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("ended with exit status: 3: no route"),
        "{text}"
    );
    assert!(error.is_transient() && error.hint().is_some());
    let error = fail("/nonexistent/command").await.to_string();
    assert!(
        error.contains("127") && error.contains("/nonexistent/command"),
        "{error}"
    );
    let error = fail("cat /etc/hostname").await;
    assert!(matches!(error, SshError::ProxyCommand { .. }), "{error}");
    // It goes on, says nothing and leads nowhere: ended all the same.
    let sleep = unique_sleep();
    let error = fail(&sleep).await;
    assert!(
        error.to_string().contains("no sshd behind it within 2 s"),
        "{error}"
    );
    eventually("the command ends", Duration::from_secs(5), || {
        !running(&sleep)
    })
    .await;
}
