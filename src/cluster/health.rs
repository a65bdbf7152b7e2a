//! Whether a component answers on its health endpoint.

use std::io;
use std::time::Duration;

use ssh::{RunOptions, Script, Session};

use super::survey::Surveyed;
use super::tunnel::Tunnel;
use crate::kubernetes::api::{Dial, Health, probe_http, probe_https};
use crate::kubernetes::health::{HealthEndpoint, Scheme};

/// Time for one look. A component that starts accepts before it answers.
const LOOK: Duration = Duration::from_secs(5);

/// Asks a component about its health from its own host, in bounded time.
pub(crate) async fn look(one: &Surveyed, at: &HealthEndpoint) -> Health {
    within(async {
        match ask_component(&one.session, at).await {
            Ok(health) => health,
            Err(error) => Health::No(error.to_string()),
        }
    })
    .await
}

/// Asks a component about its health from its own host.
///
/// # Errors
/// Nothing listens there, or sshd forwards nothing.
pub(crate) async fn ask_component(session: &Session, at: &HealthEndpoint) -> io::Result<Health> {
    let stream = Tunnel::new(session, &at.address, at.port).dial().await?;
    Ok(match at.scheme {
        Scheme::Http => probe_http(stream, at.path).await,
        Scheme::Https => probe_https(stream, at.path).await,
    })
}

/// Whether the kubelet's unit is active, and stays so for two seconds: a kubelet
/// that can't run is active for an instant each time that systemd restarts it.
pub(crate) async fn unit_runs(one: &Surveyed) -> Health {
    let script = Script {
        name: "ask for the kubelet's unit".into(),
        text: "systemctl is-active kubelet.service && sleep 2 && \
               systemctl is-active kubelet.service\n"
            .into(),
        input: Vec::new(),
    };
    match one.session.run(&script, &RunOptions::default()).await {
        Ok(output) if output.status == 0 => Health::Ok,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let state = text.lines().last().unwrap_or("unknown").trim();
            Health::No(format!("kubelet.service is {state}"))
        }
        Err(error) => Health::No(error.to_string()),
    }
}

pub(crate) async fn within(look: impl Future<Output = Health>) -> Health {
    match tokio::time::timeout(LOOK, look).await {
        Ok(health) => health,
        Err(_) => Health::No(format!("timed out after {} s", LOOK.as_secs())),
    }
}
