//! Whether control planes can reach an external etcd as the API server will: from the same
//! machine, with the same certificate. Costs no command, because it uses the SSH session.

use std::fs;
use std::path::PathBuf;

use futures::StreamExt;
use futures::future::join_all;
use zeroize::Zeroizing;

use super::etcd::limit_request;
use crate::host::preflight::{Finding, Subject, check_external_etcd};
use crate::inventory::{Etcd, ExternalEtcd};
use crate::kubernetes::api::Identity;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Remote;

/// The CA and the client certificate of the API server, PEM.
struct Credentials {
    ca: Option<String>,
    identity: Option<Identity>,
}

/// Runs the check on all selected control planes.
///
/// # Errors
/// Files that cannot be read.
pub(crate) async fn check_external_etcds(
    run: &Run,
    control_planes: Vec<(&Subject<'_>, &Remote)>,
) -> Result<Vec<Finding>, Error> {
    let Etcd::External(etcd) = &run.cluster.etcd else {
        return Ok(Vec::new());
    };
    let credentials = &Credentials::read(etcd)?;
    let urls = match etcd.http_endpoints.as_slice() {
        [] => &etcd.endpoints,
        separate => separate,
    };
    let findings: Vec<Vec<Finding>> = futures::stream::iter(control_planes)
        .map(|(subject, remote)| async move {
            let asked = urls.iter().map(|url| async move {
                let answer = limit_request(read_version(remote, url, credentials)).await;
                (url.clone(), answer.map_err(|error| error.to_string()))
            });
            check_external_etcd(subject, &join_all(asked).await)
        })
        .buffered(run.options.parallel)
        .collect()
        .await;
    Ok(findings.into_iter().flatten().collect())
}

impl Credentials {
    fn read(etcd: &ExternalEtcd) -> Result<Self, Error> {
        let read = |path: &Option<PathBuf>| {
            let Some(path) = path else { return Ok(None) };
            let text = fs::read_to_string(path).map_err(|source| Error::File {
                what: "read",
                path: path.clone(),
                source,
            })?;
            Ok::<_, Error>(Some(Zeroizing::new(text)))
        };
        let pair = read(&etcd.cert_file)?.zip(read(&etcd.key_file)?);
        Ok(Credentials {
            ca: read(&etcd.ca_file)?.map(|ca| ca.to_string()),
            identity: pair.map(|(cert, key)| Identity {
                cert: cert.to_string(),
                key,
            }),
        })
    }
}

async fn read_version(remote: &Remote, url: &str, as_whom: &Credentials) -> Result<String, Error> {
    let (ca, identity) = (as_whom.ca.as_deref(), as_whom.identity.as_ref());
    let client = remote.external_etcd_client(url, ca, identity)?;
    Ok(client.version().await?)
}
