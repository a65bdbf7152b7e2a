//! The lock of a cluster: the Lease `kube-system/clusterctl-rs`. Its `leaseTransitions` is the
//! number of the last run that changed the cluster, and only grows.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};

use super::error::ApiError;
use crate::host::{RunOwner, Turn};
use crate::layout::names::{KUBE_SYSTEM, RUN_LEASE, RUN_OWNER};

/// How long a run that is not heard of keeps the lock: it may have restarted the API server
/// through which it renews it.
pub const LOCK_DURATION: Duration = Duration::from_secs(120);

/// The lock as it was read.
#[derive(Debug, Clone, Default)]
pub struct ClusterLock {
    lease: Option<Lease>,
    /// The number of the last run; 0 before the first.
    pub number: u64,
    /// Whose it is; `None` if it is free.
    pub owner: Option<RunOwner>,
    /// When it was last renewed.
    pub renewed: Option<Timestamp>,
}

impl ClusterLock {
    /// Reads it. One that was never taken is free.
    ///
    /// # Errors
    /// An API that doesn't answer, or says no.
    pub async fn read(client: &kube::Client) -> Result<Self, ApiError> {
        let lease = leases(client).get_opt(RUN_LEASE).await;
        let lease = lease.map_err(ApiError::request("read the lock"))?;
        Ok(lease.map_or_else(ClusterLock::default, ClusterLock::of))
    }

    /// One that is free, after the run of that number.
    pub fn numbered(number: u64) -> Self {
        ClusterLock {
            number,
            ..ClusterLock::default()
        }
    }

    fn of(lease: Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let annotation = |name: &str| {
            let annotations = lease.metadata.annotations.as_ref()?;
            annotations.get(name).cloned()
        };
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let owner = holder.map(|holder| match annotation(RUN_OWNER) {
            Some(line) => RunOwner::parse(line.as_bytes()),
            // Of another version, or by hand.
            None => RunOwner {
                holder,
                verb: "unknown".into(),
                since: spec.acquire_time.map_or(Timestamp::UNIX_EPOCH, |at| at.0),
                process: "unknown".into(),
            },
        });
        ClusterLock {
            number: u64::try_from(spec.lease_transitions.unwrap_or(0)).unwrap_or(0),
            owner,
            renewed: spec.renew_time.map(|at| at.0),
            lease: Some(lease),
        }
    }

    /// Whether its owner has not been heard of for too long. What was renewed in the future was
    /// by a clock that is ahead of ours, and counts.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        let since = |renewed| now.duration_since(renewed).as_secs();
        let limit = i64::try_from(LOCK_DURATION.as_secs()).unwrap_or(i64::MAX);
        self.renewed.is_none_or(|renewed| since(renewed) > limit)
    }

    /// Whether `turn` has it.
    pub fn is_of(&self, turn: &Turn) -> bool {
        let owner = self.owner.as_ref();
        self.number == turn.number && owner.is_some_and(|one| one.process == turn.owner.process)
    }

    /// Gives it to `turn`, or renews it for it, if it is still as it was read.
    ///
    /// # Errors
    /// [`ApiError::is_outdated`] if another run was faster.
    pub async fn give(
        &self,
        client: &kube::Client,
        turn: &Turn,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        self.write(client, turn.number, Some(&turn.owner), now)
            .await
    }

    /// Frees it; the number stays.
    ///
    /// # Errors
    /// As [`ClusterLock::give`].
    pub async fn free(
        &self,
        client: &kube::Client,
        number: u64,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        self.write(client, number, None, now).await
    }

    async fn write(
        &self,
        client: &kube::Client,
        number: u64,
        owner: Option<&RunOwner>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let annotations =
            owner.map(|owner| BTreeMap::from([(RUN_OWNER.to_owned(), owner.to_line())]));
        let spec = LeaseSpec {
            holder_identity: owner.map(identity),
            acquire_time: owner.map(|owner| MicroTime(owner.since)),
            renew_time: Some(MicroTime(now)),
            lease_duration_seconds: i32::try_from(LOCK_DURATION.as_secs()).ok(),
            lease_transitions: i32::try_from(number).ok(),
            ..LeaseSpec::default()
        };
        let leases = leases(client);
        let params = PostParams::default();
        let written = match &self.lease {
            Some(lease) => {
                let mut lease = lease.clone();
                lease.metadata.managed_fields = None;
                lease.metadata.annotations = annotations;
                lease.spec = Some(spec);
                leases.replace(RUN_LEASE, &params, &lease).await
            }
            None => {
                let metadata = ObjectMeta {
                    name: Some(RUN_LEASE.into()),
                    namespace: Some(KUBE_SYSTEM.into()),
                    annotations,
                    ..ObjectMeta::default()
                };
                let lease = Lease {
                    metadata,
                    spec: Some(spec),
                };
                leases.create(&params, &lease).await
            }
        };
        written
            .map(drop)
            .map_err(ApiError::request("take the lock"))
    }
}

fn leases(client: &kube::Client) -> Api<Lease> {
    Api::namespaced(client.clone(), KUBE_SYSTEM)
}

/// `user@machine PID verb`, for `kubectl get lease`.
fn identity(owner: &RunOwner) -> String {
    let id = owner.process.split('/').nth(2).unwrap_or_default();
    format!("{} {id} {}", owner.holder, owner.verb)
}
