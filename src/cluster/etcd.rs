//! etcd's members, through the SSH session and with the operator's own certificate.

use std::future::Future;
use std::time::Duration;

use pki::Store;
use ssh::Session;

use super::survey::Surveyed;
use super::tunnel::Tunnel;
use crate::inventory::Host;
use crate::kubernetes::api::{ApiError, EtcdClient, Identity, Member};
use crate::kubernetes::health::etcd_client_address;
use crate::run::Run;
use crate::run::error::Error;

/// Time for one request. etcd gives up on its own after about seven seconds
/// (twice the election timeout, and five).
const REQUEST: Duration = Duration::from_secs(10);

/// A client of the member on `host`.
pub(crate) fn client(run: &Run, session: &Session, host: &Host) -> Result<EtcdClient, Error> {
    let (address, port) = etcd_client_address(&run.cluster, host);
    client_at(run, session, host, address, port)
}

/// A client, with the certificate of `host`, of the member that `host` reaches
/// at `address`.
pub(crate) fn client_at(
    run: &Run,
    session: &Session,
    host: &Host,
    address: impl ToString,
    port: u16,
) -> Result<EtcdClient, Error> {
    let files = Store::new(run.state.dir()).etcd_client(&host.name)?;
    let tunnel = Tunnel::new(session, address, port);
    let identity = Identity {
        cert: files.cert,
        key: files.key,
    };
    Ok(EtcdClient::new(tunnel, &files.ca, &identity)?)
}

/// One request, in bounded time.
pub(crate) async fn within<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(REQUEST, request).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::Timeout {
            what: "etcd".into(),
            after: REQUEST,
            last: "it does not respond".into(),
        }
        .into()),
    }
}

/// etcd's members, as the first control plane tells that can.
///
/// # Errors
/// What the last one said, if none can.
pub(crate) async fn list_members(run: &Run, standing: &[&Surveyed]) -> Result<Vec<Member>, String> {
    let mut why = String::new();
    for one in standing {
        let answer = async {
            let client = client(run, &one.session, &one.host)?;
            Ok::<_, Error>(client.members().await?)
        };
        match within(answer).await {
            Ok(members) => return Ok(members),
            Err(error) => why = format!("{}: {error}", one.host.name),
        }
    }
    Err(why)
}
