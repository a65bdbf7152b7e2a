//! etcd while control planes change: which may be taken down, which join, which get a vote.

use std::future::Future;
use std::time::Duration;

use crate::cluster::answer::ask_first;
use crate::cluster::api::ClusterApi;
use crate::cluster::etcd::{limit_request, member_client};
use crate::cluster::health;
use crate::cluster::survey::Surveyed;
use crate::inventory::Etcd;
use crate::kubernetes::api::{ApiError, EtcdClient, Health, wait_healthy};
use crate::kubernetes::{endpoint, etcd as members};
use crate::layout::health::API_SERVER_READY;
use crate::plan::model::{Plan, Work};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// Time limit for the other control planes to become healthy before one is taken down: a
/// member that has just restarted is back within seconds.
const OTHERS: Duration = Duration::from_secs(60);

/// Waits until `work`'s control plane can be taken down: enough of the others must be
/// healthy for etcd to keep quorum and the API to respond. Counted are etcd's own members,
/// whether their hosts take part or not.
///
/// # Errors
/// [`Error::AtRisk`] if they are not in time.
pub(super) async fn wait_for_others(
    run: &Run,
    plan: &Plan,
    work: &Work,
    part: &Part,
) -> Result<(), Error> {
    let others: Vec<&Surveyed> = plan
        .control_planes
        .iter()
        .filter(|one| one.host.name != work.name() && !plan.is_new_control_plane(&one.host))
        .collect();
    let in_inventory = run
        .cluster
        .control_planes()
        .filter(|host| !plan.is_new_control_plane(host))
        .count();
    let all = in_inventory.max(plan.context.etcd.count_voters());
    if all < 2 {
        return Ok(());
    }
    part.doing(work.name(), "waiting for the other control planes");
    let look = || async {
        let looks = others.iter().map(|one| works(run, plan, one));
        let health = futures::future::join_all(looks).await;
        enough(
            all,
            others.iter().zip(&health).map(|(one, health)| {
                let why = match health {
                    Health::Ok => None,
                    Health::No(why) | Health::Never(why) => Some(why.as_str()),
                };
                (one.host.name.as_str(), why)
            }),
        )
    };
    wait_healthy("the other control planes", OTHERS, look)
        .await
        .map_err(|error| Error::AtRisk {
            why: match error {
                ApiError::Timeout { last, .. } => last,
                other => other.to_string(),
            },
        })
}

/// Whether `work`'s control plane does nothing that could be lost: nothing has to be waited for
/// before it is changed.
pub(super) async fn is_down(run: &Run, plan: &Plan, work: &Work) -> bool {
    works(run, plan, &work.surveyed).await != Health::Ok
}

/// Whether one of `all` control planes can be taken down, where `others` are the reachable
/// others, each with what is wrong with it. Of two, none can be; then the other must at
/// least be healthy.
fn enough<'a>(all: usize, others: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Health {
    let (mut healthy, mut wrong) = (0, Vec::new());
    for (name, why) in others {
        match why {
            None => healthy += 1,
            Some(why) => wrong.push(format!("{name}: {why}")),
        }
    }
    let quorum = all / 2 + 1;
    if healthy >= quorum.min(all - 1) {
        return Health::Ok;
    }
    let unreached = all - 1 - healthy - wrong.len();
    if unreached > 0 {
        wrong.push(format!("{unreached} unreachable"));
    }
    Health::No(format!(
        "of {all} control planes, only {healthy} others are healthy ({})",
        wrong.join("; ")
    ))
}

/// Whether a control plane's API server and etcd are healthy. Where no API server responds,
/// etcd alone decides: it is what must not be lost.
async fn works(run: &Run, plan: &Plan, one: &Surveyed) -> Health {
    let external = matches!(run.cluster.etcd, Etcd::External(_));
    if plan.responds || external {
        let api = match ClusterApi::new(run, &plan.context.pki, one) {
            Ok(api) => api,
            Err(error) => return Health::No(error.to_string()),
        };
        let answer = api.ask_health(API_SERVER_READY).await;
        if answer != Health::Ok || external {
            return answer;
        }
    }
    match member_client(run, &one.session, &one.host) {
        Ok(client) => health::ask_etcd(&client).await,
        Err(error) => Health::No(error.to_string()),
    }
}

/// Adds the member that `work`'s control plane is about to start to etcd, as a learner,
/// which cannot affect quorum. A former member that has lost its data is removed first.
///
/// # Errors
/// What etcd still rejects after `timeouts.etcdAPICall`.
pub(super) async fn admit(run: &Run, plan: &Plan, work: &Work, part: &Part) -> Result<(), Error> {
    let name = work.name();
    let url = peer_url(&work.surveyed)?;
    part.doing(name, "adding its etcd member");
    let what = format!("etcd member of {name}");
    run.journalled(Some(name), Phase::ControlPlane, &what, async {
        let limit = run.cluster.timeouts.etcd_api_call;
        retried("etcd to admit a member", limit, || async {
            let client = standing(run, plan, work).await?;
            let members = client.members().await?;
            match members.iter().find(|member| member.is_at(&url)) {
                Some(member) if !member.has_started() => return Ok(()),
                Some(forgetful) => client.remove(forgetful).await?,
                None => {}
            }
            client.add_learner(&url).await?;
            Ok(())
        })
        .await
    })
    .await
}

/// Waits until the member of `work`'s control plane has caught up, and promotes it.
///
/// # Errors
/// A member that doesn't start or catch up in time.
pub(super) async fn promote(run: &Run, plan: &Plan, work: &Work, part: &Part) -> Result<(), Error> {
    let name = work.name();
    let url = peer_url(&work.surveyed)?;
    part.doing(name, "waiting for its etcd member to catch up");
    let what = format!("vote of the etcd member of {name}");
    run.journalled(Some(name), Phase::ControlPlane, &what, async {
        // Its pod has to start first.
        let timeouts = &run.cluster.timeouts;
        let starting = timeouts.control_plane_component_health_check;
        let limit = timeouts.etcd_api_call.max(starting);
        retried("etcd to promote a member", limit, || async {
            let client = standing(run, plan, work).await?;
            let members = client.members().await?;
            let member = members.iter().find(|member| member.is_at(&url));
            match member {
                Some(member) if !member.has_started() => Err(not_yet("it has not started")),
                Some(member) if member.is_learner => Ok(client.promote(member).await?),
                Some(_) => Ok(()),
                None => Err(not_yet("it is not a member")),
            }
        })
        .await
    })
    .await
}

fn not_yet(why: &str) -> Error {
    Error::NotReady {
        why: why.to_owned(),
    }
}

fn peer_url(one: &Surveyed) -> Result<String, Error> {
    let address = endpoint::advertise_address(&one.host, &one.gathered.facts)?;
    Ok(members::peer_url(address))
}

/// A client of a voting member other than that of `work`.
async fn standing(run: &Run, plan: &Plan, work: &Work) -> Result<EtcdClient, Error> {
    let others = plan.control_planes.iter().filter(|one| {
        let joins = plan.is_new_control_plane(&one.host);
        one.host.name != work.name() && !joins && !plan.context.etcd.is_learner(&one.host)
    });
    let others = others.map(|one| (&one.host, &one.session));
    let asked = ask_first(others, async |host, remote| {
        let client = member_client(run, remote, host)?;
        match health::ask_etcd(&client).await {
            Health::Ok => Ok(client),
            Health::No(why) | Health::Never(why) => Err(not_yet(&why)),
        }
    });
    let answer = asked.await.into_result();
    answer.map_err(|silent| not_yet(&silent.last_or("no other member is reachable")))
}

/// Retries until it succeeds: etcd rejects changes while a member is down, while there is
/// another learner, or while a learner lags behind.
async fn retried<F>(what: &str, limit: Duration, attempt: impl Fn() -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>>,
{
    let look = || async {
        match limit_request(attempt()).await {
            Ok(()) => Health::Ok,
            Err(Error::Api(error)) if error.is_stranger() => Health::from_error(&error),
            Err(error) => {
                tokio::time::sleep(Duration::from_millis(400)).await;
                Health::No(error.to_string())
            }
        }
    };
    Ok(wait_healthy(what, limit, look).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_taken_down_only_if_quorum_stays() {
        let may = |all, others: &[Option<&'static str>]| {
            let others = others.iter().map(|why| ("cp", *why));
            enough(all, others) == Health::Ok
        };
        assert!(may(3, &[None, None]));
        assert!(!may(3, &[None, Some("down")]));
        assert!(!may(3, &[None]), "one could not be reached");
        assert!(may(5, &[None, None, None, Some("down")]));
        assert!(!may(5, &[None, None, Some("a"), Some("b")]));
        assert!(may(2, &[None]), "two can never spare one");
        assert!(!may(2, &[Some("down")]));
    }
}
