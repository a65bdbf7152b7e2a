//! etcd's members, through the SSH session and with our own client certificate.

use std::future::Future;
use std::time::Duration;

use pki::Store;

use super::answer::{answer_within, ask_first};
use super::survey::Surveyed;
use crate::inventory::Host;
use crate::kubernetes::api::{EtcdClient, Identity, Member};
use crate::kubernetes::health::etcd_client_address;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Remote;

/// Time limit for one request. etcd itself gives up after about seven seconds (twice the
/// election timeout plus five).
const REQUEST: Duration = Duration::from_secs(10);

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

/// Lists etcd's members through the first control plane that responds.
///
/// # Errors
/// The error of the last one, if none responds.
pub(crate) async fn list_members(run: &Run, standing: &[&Surveyed]) -> Result<Vec<Member>, String> {
    let hosts = standing.iter().map(|one| (&one.host, &one.session));
    let asked = ask_first(hosts, async |host, remote| {
        let client = member_client(run, remote, host)?;
        limit_request(client.members()).await
    });
    let answer = asked.await.into_result();
    answer.map_err(|silent| silent.last_or("no control plane is reachable"))
}
