//! Agents that want a touch or a confirmation for each signature, played over their protocol.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::signature::Signer;
use russh::keys::ssh_encoding::Encode;
use ssh::{Connector, NoPrompt, Session, Settings, SshError, Target, Workstation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::sshd::{Sshd, new_key, sh, write_key};

/// How the operator answers.
#[derive(Clone, Copy)]
enum Operator {
    /// Touches the key after a while.
    Touches(Duration),
    /// Comes back after sshd has lost patience.
    IsAway,
    /// Says no.
    Refuses,
}

/// What the agent has seen.
#[derive(Default)]
struct Seen {
    pending: AtomicUsize,
    most_pending: AtomicUsize,
    signatures: AtomicUsize,
}

struct PlayedAgent {
    socket: PathBuf,
    seen: Arc<Seen>,
}

impl PlayedAgent {
    /// An agent that holds the key which the sshd accepts.
    fn start(sshd: &Sshd, operator: Operator) -> Self {
        let socket = sshd.path("played-agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let key = Arc::new(russh::keys::load_secret_key(sshd.path("id"), None).unwrap());
        let seen = Arc::new(Seen::default());
        let shared = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (key, seen) = (key.clone(), shared.clone());
                tokio::spawn(async move { serve(stream, &key, operator, &seen).await });
            }
        });
        PlayedAgent { socket, seen }
    }

    /// The sshd as this many hosts, which only the agent can log in to.
    fn targets(&self, sshd: &Sshd, settings: &Settings, count: usize) -> Vec<Target> {
        let station = Workstation {
            agent: Some(self.socket.clone()),
            ..sshd.workstation()
        };
        let settings = Settings {
            agent: true,
            private_key: None,
            ..settings.clone()
        };
        (0..count)
            .map(|n| Target::resolve(&format!("node{n}"), &settings, &station).unwrap())
            .collect()
    }

    fn signatures(&self) -> usize {
        self.seen.signatures.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: UnixStream,
    key: &PrivateKey,
    operator: Operator,
    seen: &Seen,
) -> std::io::Result<()> {
    let public = key.public_key().to_bytes().unwrap();
    loop {
        let length = stream.read_u32().await?;
        let mut request = vec![0; length as usize];
        stream.read_exact(&mut request).await?;
        let mut reply = Vec::new();
        match request[0] {
            11 => {
                reply.push(12);
                1u32.encode(&mut reply).unwrap();
                public.encode(&mut reply).unwrap();
                "played".encode(&mut reply).unwrap();
            }
            13 => {
                seen.signatures.fetch_add(1, Ordering::SeqCst);
                let now = seen.pending.fetch_add(1, Ordering::SeqCst) + 1;
                seen.most_pending.fetch_max(now, Ordering::SeqCst);
                match operator {
                    Operator::Touches(after) => tokio::time::sleep(after).await,
                    Operator::IsAway => tokio::time::sleep(Duration::from_secs(4)).await,
                    Operator::Refuses => {}
                }
                seen.pending.fetch_sub(1, Ordering::SeqCst);
                // After the kind and the key: what is to be signed, its length first.
                let data = &request[1 + 4 + public.len() + 4..request.len() - 4];
                let signature = key.try_sign(data).unwrap();
                let mut blob = Vec::new();
                signature.encode(&mut blob).unwrap();
                match operator {
                    Operator::Refuses => reply.push(5),
                    _ => {
                        reply.push(14);
                        blob.encode(&mut reply).unwrap();
                    }
                }
            }
            _ => reply.push(5),
        }
        stream.write_u32(reply.len() as u32).await?;
        stream.write_all(&reply).await?;
    }
}

fn connector() -> Connector {
    Connector::new(Arc::new(NoPrompt), None)
}

async fn connect_all(targets: &[Target]) -> Vec<Result<Session, SshError>> {
    let connector = connector();
    let connecting = targets
        .iter()
        .map(|target| Session::connect(target, &connector));
    futures::future::join_all(connecting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_hosts_one_touch_at_a_time() {
    // All touches together take longer than sshd waits for a login, and than we wait for others.
    let sshd = Sshd::with("LoginGraceTime 3");
    let agent = PlayedAgent::start(&sshd, Operator::Touches(Duration::from_millis(400)));
    let settings = Settings {
        connect_timeout: Some(Duration::from_secs(5)),
        ..sshd.settings()
    };
    let sessions = connect_all(&agent.targets(&sshd, &settings, 20)).await;
    for session in &sessions {
        let output = sh(session.as_ref().unwrap(), "exit 3").await.unwrap();
        assert_eq!(output.status, 3);
    }
    assert_eq!(agent.seen.most_pending.load(Ordering::SeqCst), 1);
    // A touch is lost where sshd hangs up just then.
    assert!(
        (20..24).contains(&agent.signatures()),
        "{}",
        agent.signatures()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_host_takes_its_turn_like_others() {
    let jump = Sshd::with("LoginGraceTime 3");
    let inner = Sshd::with("LoginGraceTime 3");
    std::fs::copy(jump.path("authorized_keys"), inner.path("authorized_keys")).unwrap();
    let both = format!("{}{}", jump.known_hosts_line(), inner.known_hosts_line());
    std::fs::write(jump.path("known_hosts"), both).unwrap();
    let agent = PlayedAgent::start(&jump, Operator::Touches(Duration::from_millis(400)));
    let settings = Settings {
        port: Some(inner.port),
        proxy_jump: Some(format!("127.0.0.1:{}", jump.port)),
        ..jump.settings()
    };
    let sessions = connect_all(&agent.targets(&jump, &settings, 10)).await;
    for session in &sessions {
        assert!(session.is_ok(), "{session:?}");
    }
    assert_eq!(agent.seen.most_pending.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_is_away_is_waited_for_as_long_as_sshd_does() {
    let sshd = Sshd::with("LoginGraceTime 2");
    let agent = PlayedAgent::start(&sshd, Operator::IsAway);
    let settings = Settings {
        connect_timeout: Some(Duration::from_secs(1)),
        ..sshd.settings()
    };
    let target = agent.targets(&sshd, &settings, 1).remove(0);
    let error = Session::connect(&target, &connector()).await.unwrap_err();
    assert!(matches!(error, SshError::Unsigned { .. }), "{error}");
    assert!(error.to_string().contains("the agent's played"), "{error}");
    assert!(error.hint().unwrap().contains("touch the key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_operators_is_told_from_one_of_the_hosts() {
    let sshd = Sshd::start();
    let agent = PlayedAgent::start(&sshd, Operator::Refuses);
    let target = agent.targets(&sshd, &sshd.settings(), 1).remove(0);
    let error = Session::connect(&target, &connector()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the agent's played: the agent did not sign"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_names_the_agents() {
    let sshd = Sshd::start();
    let agent = PlayedAgent::start(&sshd, Operator::Touches(Duration::ZERO));
    let station = Workstation {
        agent: Some(agent.socket.clone()),
        ..sshd.workstation()
    };
    std::fs::create_dir_all(station.home.join(".ssh")).unwrap();
    let connect = async |identity: &str| {
        let config = format!("IdentityFile {identity}\nIdentitiesOnly yes\n");
        std::fs::write(station.ssh_config.as_ref().unwrap(), config).unwrap();
        let settings = Settings {
            agent: true,
            private_key: None,
            use_ssh_config: true,
            ..sshd.settings()
        };
        let target = Target::resolve("node", &settings, &station).unwrap();
        Session::connect(&target, &connector()).await
    };
    let here = sshd.dir.path().display();
    std::fs::remove_file(sshd.path("id")).unwrap();
    connect(&format!("{here}/id.pub")).await.unwrap();
    assert_eq!(agent.signatures(), 1);
    // Another key of the agent's is not offered, and the file is no private key.
    write_key(&sshd.path("other"), &new_key(), None);
    let error = connect(&format!("{here}/other.pub")).await.unwrap_err();
    assert!(error.to_string().contains("it is a public key"), "{error}");
    assert_eq!(agent.signatures(), 1);
}
