//! etcd's members, through the SSH session and with our own client certificate.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use pki::Store;
use ssh::Session;

use super::survey::Surveyed;
use super::tunnel::Tunnel;
use crate::inventory::Host;
use crate::kubernetes::api::{ApiError, EtcdClient, Identity, Member};
use crate::kubernetes::static_pods::ETCD_CLIENT_PORT;
use crate::run::Run;
use crate::run::error::Error;

/// Time limit for one request. etcd itself gives up after about seven seconds (twice the
/// election timeout plus five).
const REQUEST: Duration = Duration::from_secs(10);

/// A client of the member on `host`.
pub(crate) fn client(run: &Run, session: &Session, host: &Host) -> Result<EtcdClient, Error> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    client_at(run, session, host, address, ETCD_CLIENT_PORT)
}

/// A client, with the certificate of `host`, of the member that `host` reaches
/// at `address`.
pub(crate) fn client_at(
    run: &Run,
    session: &Session,
    host: &Host,
    address: IpAddr,
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

/// Runs one request with a time limit.
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

/// Lists etcd's members through the first control plane that responds.
///
/// # Errors
/// The error of the last one, if none responds.
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
