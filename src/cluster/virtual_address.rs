//! Moves kube-vip's address to another control plane before its holder is taken down.
//! kube-vip itself gives it up only after its API server has been down for a while, and
//! clients are refused until then.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, PostParams};
use text::terminal::escape;

use crate::inventory::Host;
use crate::kubernetes::api::ApiError;
use crate::layout::names::{KUBE_SYSTEM, KUBE_VIP_LEASE};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::remote::Remote;
use crate::run::tracker::Part;

/// Time limit for the move. The successor tries to get the lease every second or two, and
/// the holder gives up after its renew deadline, 3 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the lease is tried: its holder writes it every second.
const TRIES: usize = 10;

/// Moves the address to the Node `heir`, if `host` holds it; `api` is a client of the
/// heir's API server. Failures are only warnings: kube-vip moves it by itself, but later.
pub(crate) async fn hand_over_address(
    run: &Run,
    host: &Host,
    remote: &Remote,
    heir: &str,
    api: &kube::Client,
    part: &Part,
) {
    let Some(address) = run.cluster.virtual_address() else {
        return;
    };
    let leases = Api::namespaced(api.clone(), KUBE_SYSTEM);
    let moved = async {
        if !give_lease(&leases, &host.node_name, heir).await? {
            return Ok(());
        }
        part.doing(&host.name, format!("moving address {address} to {heir}"));
        run.journalled(
            Some(&host.name),
            Phase::ControlPlane,
            "address",
            remote.wait_until_address_gone(address),
        )
        .await
    };
    let why = match tokio::time::timeout(PATIENCE, moved).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("timed out after {} s", PATIENCE.as_secs()),
    };
    run.events().warn(address_stays(host, &why));
}

pub(crate) fn address_stays(host: &Host, why: &str) -> String {
    format!(
        "{}: kube-vip's address could not be moved ({}): clients may be refused for some seconds, \
         until it moves by itself",
        host.name,
        escape(why)
    )
}

/// Transfers the lease to the heir, if `holder` holds it; returns whether it did.
async fn give_lease(leases: &Api<Lease>, holder: &str, heir: &str) -> Result<bool, Error> {
    let mut tries = 0;
    loop {
        let lease = leases.get_opt(KUBE_VIP_LEASE).await;
        let lease = lease.map_err(ApiError::request(format!("read lease {KUBE_VIP_LEASE}")))?;
        let Some(lease) =
            lease.and_then(|lease| lease_given_to(lease, holder, heir, Timestamp::now()))
        else {
            return Ok(false);
        };
        tries += 1;
        match leases
            .replace(KUBE_VIP_LEASE, &PostParams::default(), &lease)
            .await
        {
            Ok(_) => return Ok(true),
            // Its holder renewed it in the meantime.
            Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES => {}
            Err(error) => {
                let what = format!("transfer lease {KUBE_VIP_LEASE} to {heir}");
                return Err(ApiError::request(what)(error).into());
            }
        }
    }
}

/// The lease as the heir would have written it; `None` if `holder` does not hold it.
fn lease_given_to(mut lease: Lease, holder: &str, heir: &str, now: Timestamp) -> Option<Lease> {
    let spec = lease.spec.take()?;
    if spec.holder_identity.as_deref() != Some(holder) {
        return None;
    }
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(heir.to_owned()),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + 1),
        ..spec
    });
    Some(lease)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_its_holder_gives_a_lease_away() {
        let lease = Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some("cp1".into()),
                lease_duration_seconds: Some(5),
                lease_transitions: Some(2),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert!(lease_given_to(lease.clone(), "cp2", "cp3", now).is_none());
        assert!(lease_given_to(Lease::default(), "cp1", "cp3", now).is_none());
        let spec = lease_given_to(lease, "cp1", "cp3", now)
            .unwrap()
            .spec
            .unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("cp3"));
        assert_eq!(spec.lease_transitions, Some(3));
        assert_eq!(spec.lease_duration_seconds, Some(5));
        assert_eq!(spec.renew_time, Some(MicroTime(now)));
    }
}
