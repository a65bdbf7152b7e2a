//! Access to the API with the admin kubeconfig, through any control plane.

use std::io;

use zeroize::Zeroizing;

use crate::inventory::Host;
use crate::kubernetes::api::{ApiError, Identity};
use crate::kubernetes::health::api_server_endpoint;
use crate::kubernetes::read_embedded;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Remote;

/// The contents of the admin kubeconfig.
#[derive(Debug)]
pub(crate) struct OperatorAccess {
    /// The cluster's CA, PEM.
    pub(crate) ca: String,
    identity: Identity,
}

impl OperatorAccess {
    /// Reads the kubeconfig in the state directory.
    ///
    /// # Errors
    /// [`Error::NoKubeconfig`] if there is none yet; one that cannot be used.
    pub(crate) fn read(run: &Run) -> Result<Self, Error> {
        let path = run.state.kubeconfig();
        let text = match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoKubeconfig {
                    cluster: run.cluster.name.clone(),
                    path,
                });
            }
            Err(source) => {
                return Err(Error::File {
                    what: "read",
                    path,
                    source,
                });
            }
        };
        match read_embedded(&text) {
            Some((ca, cert, key)) => Ok(OperatorAccess {
                ca,
                identity: Identity { cert, key },
            }),
            None => Err(Error::Usage {
                message: format!("{} contains no client certificate", path.display()),
                hint: None,
            }),
        }
    }

    /// A client of the API server on the control plane `host`.
    ///
    /// # Errors
    /// Certificates that don't parse.
    pub(crate) fn client(
        &self,
        run: &Run,
        host: &Host,
        remote: &Remote,
    ) -> Result<kube::Client, ApiError> {
        let at = api_server_endpoint(&run.cluster, host, None);
        remote.api_client(&at.address, at.port, &self.ca, &self.identity)
    }
}
