//! TCP connections to a host's ports, through its SSH session.

use std::io;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use ssh::Session;

use crate::kubernetes::api::{Dial, Stream};

/// Opens channels of an SSH session to an address that the host can reach.
pub(crate) struct Tunnel {
    session: Session,
    address: String,
    port: u16,
}

impl Tunnel {
    /// `address` may be a name: the host looks it up.
    pub(crate) fn new(session: &Session, address: impl ToString, port: u16) -> Arc<Self> {
        Arc::new(Tunnel {
            session: session.clone(),
            address: address.to_string(),
            port,
        })
    }
}

impl Dial for Tunnel {
    fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let (session, address, port) = (self.session.clone(), self.address.clone(), self.port);
        async move {
            let stream = session
                .forward(&address, port)
                .await
                .map_err(io::Error::other)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    }
}
