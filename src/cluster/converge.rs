//! Observes a host and applies changes.

use std::time::Duration;

use ssh::{OutputStream, RunOptions, Script, ScriptEvent};
use text::terminal::excerpt;

use super::survey::Surveyed;
use crate::host;
use crate::host::{HostError, HostPlan, Observed, Progress, Resource};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::tracker::Part;

/// Time limit for one observation: it hashes files.
const OBSERVE_TIMEOUT: Duration = Duration::from_secs(300);

/// Time limit for one bundle. It includes images and binaries, so this allows for a slow
/// connection; a dead one is detected by keepalive long before.
const CONVERGE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Observes the resources of a host. One command.
pub(crate) async fn observe(one: &Surveyed, resources: &[Resource]) -> Result<Observed, Error> {
    let script = host::observe(resources)?;
    let options = RunOptions {
        timeout: OBSERVE_TIMEOUT,
        max_output: 64 << 20,
        ..RunOptions::default()
    };
    let output = one.session.run(&script, &options).await?;
    Ok(Observed::parse(&output.stdout)?)
}

/// Observes the resources of a host and returns the changes to make.
pub(crate) async fn look(
    run: &Run,
    one: &Surveyed,
    resources: &[Resource],
) -> Result<HostPlan, Error> {
    let observed = observe(one, resources).await?;
    Ok(host::diff(resources, &observed, &run.cluster.name)?)
}

/// Restarts a kubelet, so that it registers its Node again.
pub(crate) async fn restart_kubelet(one: &Surveyed) -> Result<(), Error> {
    let script = Script {
        name: "restart the kubelet".into(),
        text: "systemctl restart kubelet.service\n".into(),
        input: Vec::new(),
    };
    let output = one.session.run(&script, &RunOptions::default()).await?;
    if output.status == 0 {
        return Ok(());
    }
    Err(HostError::Step {
        step: "restart unit kubelet.service".into(),
        why: excerpt(&output.stderr, 2000),
    }
    .into())
}

/// When the kubelet of a host started, by the host's own clock. One command.
pub(crate) async fn kubelet_started(one: &Surveyed) -> Result<jiff::Timestamp, Error> {
    let script = Script {
        name: "read when the kubelet started".into(),
        // systemd 240 and older has only the human-readable format.
        text: "export TZ=UTC LC_ALL=C\n\
               started=$(systemctl show -p ExecMainStartTimestamp --value kubelet.service)\n\
               date -d \"$started\" +%s\n"
            .into(),
        input: Vec::new(),
    };
    let output = one.session.run(&script, &RunOptions::default()).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds = text.trim().parse().ok().filter(|_| output.status == 0);
    seconds
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .ok_or_else(|| {
            HostError::Step {
                step: "read when kubelet.service started".into(),
                why: excerpt(&output.stderr, 2000),
            }
            .into()
        })
}

/// Makes the changes of a plan. One command, fed by one stream; none if there are no
/// changes.
pub(crate) async fn converge(
    run: &Run,
    one: &Surveyed,
    plan: &HostPlan,
    part: &Part,
) -> Result<(), Error> {
    if plan.is_empty() {
        return Ok(());
    }
    let name = &one.host.name;
    let script = host::converge(plan)?;
    let options = RunOptions {
        timeout: CONVERGE_TIMEOUT,
        ..RunOptions::default()
    };
    let mut doing = "sending what has changed".to_owned();
    let mut on_event = |event| match event {
        ScriptEvent::Line(line) => {
            if line.stream == OutputStream::Stdout
                && let Some(Progress::Started(at)) = Progress::parse_line(&line.text)
                && let Some(change) = plan.changes.get(at)
            {
                doing = change.to_string();
                part.doing(name, doing.as_str());
            }
        }
        ScriptEvent::Sent { bytes, total } => part.sending(name, doing.as_str(), (bytes, total)),
    };
    let what = format!("{} changes", plan.changes.len());
    run.journalled(Some(name), part.phase(), &what, async {
        let output = one
            .session
            .run_with(&script, &options, &mut on_event)
            .await?;
        Ok(host::converged(plan, &output)?)
    })
    .await
}
