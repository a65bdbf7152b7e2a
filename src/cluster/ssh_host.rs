//! A connected host over SSH: each operation is a script or a channel of the session.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use ssh::{Output, OutputStream, RunOptions, Script, ScriptEvent, Session, SshError};
use text::terminal::{excerpt, sanitize};
use tokio::time::timeout;
use zeroize::Zeroize;

use super::tunnel::Tunnel;
use crate::host;
use crate::host::preflight::{
    Connection, Probe, Registry, Way, ask_registries, parse_reachability, parse_registries,
    reachability,
};
use crate::host::{
    Cleaned, Crashes, Fetched, Gathered, HostError, HostPlan, Observed, Progress, Reset, Resource,
    Turn, Vitals,
};
use crate::inventory::{Cluster, Host};
use crate::kubernetes::api;
use crate::kubernetes::api::{
    ApiError, Dial, EtcdClient, Health, Identity, probe_http, probe_https, serving_certificate,
};
use crate::kubernetes::health::{HealthEndpoint, Scheme};
use crate::run::error::Error;
use crate::run::remote::{Answer, Converging, Ownership, RemoteHost, Server};

/// Time for the facts of one host. The script does nothing that waits, so a
/// host that takes longer is a host in trouble.
const GATHER_TIMEOUT: Duration = Duration::from_secs(60);

/// Time limit for one observation: it hashes files.
const OBSERVE_TIMEOUT: Duration = Duration::from_secs(300);

/// Time for one bundle. Images and binaries go through it, so this is for a
/// slow line; a connection that died is noticed by keepalive long before.
const CONVERGE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Time to read a few small files.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Time to read the receipt: one file.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for sshd to say whether it lets a connection through to its own host.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Time to write one small file.
const TAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for a reset. Each of its steps has its own limit; together they stay
/// well below this, even where a runtime doesn't answer and volumes hang.
const RESET_TIMEOUT: Duration = Duration::from_secs(1800);

/// Time for one host to try every port that it needs; each has two seconds.
const REACH_TIMEOUT: Duration = Duration::from_secs(120);

/// Time until an address has moved to another host. kube-vip's successor asks for the lease
/// every second or two, and the holder gives up after its renew deadline, 3 s.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for the vitals; the script has nothing to wait for.
const VITALS_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for the tail of the logs.
const EVIDENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for putting files back: units are restarted, and static pods end, at their own pace.
const PUT_BACK_TIMEOUT: Duration = Duration::from_secs(300);

/// Time for a look at crash loops, which is taken beside a wait.
const CRASH_LOOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Ends once the host doesn't have the address any more.
const ADDRESS_GONE: &str = r#"
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
while ip -o address show to "$address" 2>/dev/null | grep -q .; do sleep 0.2; done
"#;

// systemd 240 and older has no form but the one for people.
const KUBELET_STARTED: &str = "export TZ=UTC LC_ALL=C\n\
    started=$(systemctl show -p ExecMainStartTimestamp --value kubelet.service)\n\
    date -d \"$started\" +%s\n";

const KUBELET_UNIT_RUNS: &str = "systemctl is-active kubelet.service && sleep 2 && \
    systemctl is-active kubelet.service\n";

/// A host behind an SSH session.
#[derive(Debug)]
pub(crate) struct SshHost {
    session: Session,
}

impl SshHost {
    pub(crate) fn new(session: Session) -> Self {
        SshHost { session }
    }

    async fn run(&self, script: &Script, timeout: Duration) -> Result<Output, Error> {
        let options = RunOptions {
            timeout,
            ..RunOptions::default()
        };
        Ok(self.session.run(script, &options).await?)
    }

    /// Runs a script of a few lines that has no input.
    async fn run_text(&self, name: &str, text: &str, timeout: Duration) -> Result<Output, Error> {
        let script = Script {
            name: name.into(),
            text: text.into(),
            input: Vec::new(),
        };
        self.run(&script, timeout).await
    }
}

fn failed(step: &str, output: &Output) -> Error {
    HostError::Step {
        step: step.into(),
        why: excerpt(&output.stderr, 2000),
    }
    .into()
}

impl RemoteHost for SshHost {
    fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    fn gather<'a>(&'a self, cluster: &'a Cluster, host: &'a Host) -> Answer<'a, Gathered> {
        async move {
            let script = host::gather(cluster, host)?;
            let sent = SystemTime::now();
            let output = self.run(&script, GATHER_TIMEOUT).await?;
            let received = SystemTime::now();
            let mut gathered = host::parse_gathered(&output.stdout)?;
            gathered.timed(sent, received);
            Ok(gathered)
        }
        .boxed()
    }

    fn find_forbidden<'a>(
        &'a self,
        targets: &'a [(String, u16)],
    ) -> BoxFuture<'a, Vec<(String, u16)>> {
        async move {
            let tried = targets.iter().map(|target| async move {
                let (address, port) = target;
                let opened = self.session.forward(address, *port);
                // One that takes its time was let through.
                let refused = timeout(FORWARD_TIMEOUT, opened).await;
                let forbidden = matches!(
                    refused,
                    Ok(Err(SshError::ForwardRefused {
                        prohibited: true,
                        ..
                    }))
                );
                forbidden.then(|| target.clone())
            });
            join_all(tried).await.into_iter().flatten().collect()
        }
        .boxed()
    }

    fn try_registries<'a>(
        &'a self,
        registries: &'a [Registry],
    ) -> Answer<'a, BTreeMap<String, Way>> {
        async move {
            let script = ask_registries(registries)?;
            let output = self.run(&script, REACH_TIMEOUT).await?;
            Ok(parse_registries(&output.stdout)?)
        }
        .boxed()
    }

    fn observe<'a>(&'a self, resources: &'a [Resource]) -> Answer<'a, Observed> {
        async move {
            let script = host::observe(resources)?;
            let options = RunOptions {
                timeout: OBSERVE_TIMEOUT,
                max_output: 64 << 20,
                ..RunOptions::default()
            };
            let output = self.session.run(&script, &options).await?;
            Ok(Observed::parse(&output.stdout)?)
        }
        .boxed()
    }

    fn fetch<'a>(&'a self, paths: &'a [String]) -> Answer<'a, Fetched> {
        async move {
            let script = host::fetch(paths)?;
            let mut output = self.run(&script, FETCH_TIMEOUT).await?;
            let files = host::fetched(paths, &output.stdout);
            output.stdout.zeroize();
            Ok(files?)
        }
        .boxed()
    }

    fn converge<'a>(
        &'a self,
        plan: &'a HostPlan,
        turn: Option<&'a Turn>,
        on_progress: &'a mut (dyn FnMut(Converging) + Send),
    ) -> Answer<'a, ()> {
        async move {
            let script = host::converge_in_turn(plan, turn)?;
            let options = RunOptions {
                timeout: CONVERGE_TIMEOUT,
                ..RunOptions::default()
            };
            let mut on_event = |event| match event {
                ScriptEvent::Line(line) => {
                    if line.stream != OutputStream::Stdout {
                        return;
                    }
                    match Progress::parse_line(&line.text) {
                        Some(Progress::Started(at)) => on_progress(Converging::Change(at)),
                        Some(Progress::Warned(what)) => on_progress(Converging::Warned(what)),
                        Some(Progress::Done(_) | Progress::Failed { .. }) | None => {}
                    }
                }
                ScriptEvent::Sent { bytes, total } => on_progress(Converging::Sent(bytes, total)),
            };
            let output = self
                .session
                .run_with(&script, &options, &mut on_event)
                .await?;
            Ok(host::converged(plan, &output)?)
        }
        .boxed()
    }

    fn read_receipt(&self) -> Answer<'_, Ownership> {
        async move {
            let output = self
                .run(&host::look_for_receipt()?, RECEIPT_TIMEOUT)
                .await?;
            let observed = Observed::parse(&output.stdout)?;
            Ok(Ownership {
                joined: observed.has_joined(),
                receipt: observed.receipt,
                turn: observed.turn,
            })
        }
        .boxed()
    }

    fn reset<'a>(
        &'a self,
        wanted: &'a Reset<'a>,
        on_step: &'a mut (dyn FnMut(String) + Send),
    ) -> Answer<'a, Cleaned> {
        async move {
            let script = host::reset(wanted)?;
            let options = RunOptions {
                timeout: RESET_TIMEOUT,
                ..RunOptions::default()
            };
            let mut on_event = |event| {
                if let ScriptEvent::Line(line) = event
                    && line.stream == OutputStream::Stdout
                    && let Some(step) = host::reset_progress(&line.text)
                {
                    on_step(step);
                }
            };
            let output = self
                .session
                .run_with(&script, &options, &mut on_event)
                .await?;
            Ok(host::cleaned(&output)?)
        }
        .boxed()
    }

    fn take_turn<'a>(&'a self, turn: &'a Turn) -> Answer<'a, ()> {
        async move {
            let output = self.run(&host::take(turn), TAKE_TIMEOUT).await?;
            Ok(host::taken(&output.stdout)?)
        }
        .boxed()
    }

    fn restart_kubelet(&self) -> Answer<'_, ()> {
        async move {
            let text = "systemctl restart kubelet.service\n";
            let timeout = RunOptions::default().timeout;
            let output = self.run_text("restart the kubelet", text, timeout).await?;
            match output.status {
                0 => Ok(()),
                _ => Err(failed("restart unit kubelet.service", &output)),
            }
        }
        .boxed()
    }

    fn kubelet_started(&self) -> Answer<'_, Timestamp> {
        async move {
            let name = "read when the kubelet started";
            let timeout = RunOptions::default().timeout;
            let output = self.run_text(name, KUBELET_STARTED, timeout).await?;
            let text = String::from_utf8_lossy(&output.stdout);
            let seconds = text.trim().parse().ok().filter(|_| output.status == 0);
            seconds
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .ok_or_else(|| failed("read when kubelet.service started", &output))
        }
        .boxed()
    }

    fn ask_kubelet_unit(&self) -> Answer<'_, Health> {
        async move {
            let timeout = RunOptions::default().timeout;
            let name = "check the kubelet's unit";
            let output = self.run_text(name, KUBELET_UNIT_RUNS, timeout).await?;
            if output.status == 0 {
                return Ok(Health::Ok);
            }
            let text = String::from_utf8_lossy(&output.stdout);
            let state = sanitize(text.lines().last().unwrap_or("unknown").trim()).into_owned();
            Ok(Health::No(format!("kubelet.service is {state}")))
        }
        .boxed()
    }

    fn put_back<'a>(&'a self, turn: Option<&'a Turn>) -> Answer<'a, bool> {
        async move {
            let output = self.run(&host::put_back(turn), PUT_BACK_TIMEOUT).await?;
            Ok(host::was_put_back(&output)?)
        }
        .boxed()
    }

    fn forget_previous<'a>(&'a self, turn: Option<&'a Turn>) -> Answer<'a, ()> {
        async move {
            let output = self
                .run(&host::forget_previous(turn), PUT_BACK_TIMEOUT)
                .await?;
            Ok(host::was_put_back(&output).map(|_| ())?)
        }
        .boxed()
    }

    fn look_for_crashes(&self, since: Option<i64>) -> Answer<'_, Crashes> {
        async move {
            let output = self.run(&host::crashes(since), CRASH_LOOP_TIMEOUT).await?;
            Ok(host::parse_crashes(&output.stdout)?)
        }
        .boxed()
    }

    fn collect_evidence<'a>(&'a self, components: &'a [&'a str]) -> Answer<'a, String> {
        async move {
            let text = format!(
                "components='{}'\n{}",
                components.join(" "),
                include_str!("diagnose.sh")
            );
            let output = self
                .run_text("find the cause", &text, EVIDENCE_TIMEOUT)
                .await?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        .boxed()
    }

    fn try_connections<'a>(
        &'a self,
        connections: &'a [Connection],
    ) -> Answer<'a, BTreeMap<(IpAddr, u16), Probe>> {
        async move {
            let script = reachability(connections);
            let output = self.run(&script, REACH_TIMEOUT).await?;
            Ok(parse_reachability(&output.stdout)?)
        }
        .boxed()
    }

    fn wait_until_address_gone(&self, address: IpAddr) -> Answer<'_, ()> {
        async move {
            let text = format!("address={address}\n{ADDRESS_GONE}");
            self.run_text(
                "wait for the address to be released",
                &text,
                ADDRESS_TIMEOUT,
            )
            .await?;
            Ok(())
        }
        .boxed()
    }

    fn read_vitals<'a>(&'a self, cluster: &'a Cluster, host: &'a Host) -> Answer<'a, Vitals> {
        async move {
            let script = host::vitals(cluster, host)?;
            let options = RunOptions {
                timeout: VITALS_TIMEOUT,
                max_output: 2 << 20,
                ..RunOptions::default()
            };
            let output = self.session.run(&script, &options).await?;
            Ok(host::parse_vitals(&output.stdout)?)
        }
        .boxed()
    }

    fn probe_health<'a>(&'a self, at: &'a HealthEndpoint) -> BoxFuture<'a, io::Result<Health>> {
        async move {
            let tunnel = Tunnel::new(&self.session, &at.address, at.port);
            let stream = tunnel.dial().await?;
            Ok(match at.scheme {
                Scheme::Http => probe_http(stream, at.path).await,
                Scheme::Https => probe_https(stream, at.path).await,
            })
        }
        .boxed()
    }

    fn api_client(
        &self,
        address: &str,
        port: u16,
        ca: &str,
        identity: &Identity,
    ) -> Result<kube::Client, ApiError> {
        api::client(Tunnel::new(&self.session, address, port), ca, identity)
    }

    fn etcd_client(
        &self,
        address: &str,
        port: u16,
        ca: &str,
        identity: &Identity,
    ) -> Result<EtcdClient, ApiError> {
        EtcdClient::new(Tunnel::new(&self.session, address, port), ca, identity)
    }

    fn external_etcd_client(
        &self,
        url: &str,
        ca: Option<&str>,
        identity: Option<&Identity>,
    ) -> Result<EtcdClient, ApiError> {
        let uri: http::Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| ApiError::Client(error.to_string()))?;
        let host = uri.host().unwrap_or_default();
        // An IPv6 address is in brackets there.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let tunnel = Tunnel::new(&self.session, host, port);
        EtcdClient::external(tunnel, url, ca, identity)
    }

    fn api_answers<'a>(
        &'a self,
        address: &'a str,
        port: u16,
        ca: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        api::answers(Tunnel::new(&self.session, address, port), ca).boxed()
    }

    fn serving_certificate<'a>(
        &'a self,
        address: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Server>> {
        async move {
            let stream = Tunnel::new(&self.session, address, port).dial().await?;
            serving_certificate(stream).await
        }
        .boxed()
    }
}
