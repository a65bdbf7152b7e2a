//! etcd's members, through the SSH session and with our own client certificate.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use pki::Store;

use super::answer::answer_within;
use super::survey::Surveyed;
use crate::inventory::Host;
use crate::kubernetes::api::{EtcdClient, Identity, MemberView};
use crate::kubernetes::health::etcd_client_address;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Remote;

/// Time limit for one request. etcd itself gives up after about seven seconds (twice the
/// election timeout plus five).
const REQUEST: Duration = Duration::from_secs(10);

/// Time limit for a look at a member, which is part of every plan.
const VIEW: Duration = Duration::from_secs(5);

/// A client of the member on `host`.
pub(crate) fn member_client(run: &Run, remote: &Remote, host: &Host) -> Result<EtcdClient, Error> {
    let (address, port) = etcd_client_address(&run.cluster, host);
    member_client_at(run, remote, host, address, port)
}

/// A client, with the certificate of `host`, of the member that `host` reaches
/// at `address`.
pub(crate) fn member_client_at(
    run: &Run,
    remote: &Remote,
    host: &Host,
    address: impl ToString,
    port: u16,
) -> Result<EtcdClient, Error> {
    let files = Store::new(run.state.dir()).etcd_client(&host.name)?;
    let identity = Identity {
        cert: files.cert,
        key: files.key,
    };
    Ok(remote.etcd_client(&address.to_string(), port, &files.ca, &identity)?)
}

/// What one request brings, in bounded time.
pub(crate) async fn limit_request<T, E: Into<Error>>(
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    answer_within(REQUEST, request).await
}

/// What each member says about all of etcd, or why it says nothing: by host name.
pub(crate) async fn ask_views(
    run: &Run,
    control_planes: &[&Surveyed],
) -> BTreeMap<String, Result<MemberView, String>> {
    let asking = control_planes.iter().map(|one| async {
        let view = async {
            let client = member_client(run, &one.session, &one.host)?;
            answer_within(VIEW, client.view()).await
        };
        let view = view.await.map_err(|error| error.to_string());
        (one.host.name.clone(), view)
    });
    futures::future::join_all(asking)
        .await
        .into_iter()
        .collect()
}
