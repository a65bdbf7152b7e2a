//! Phase `upload-certs`: the shared certificates and keys, encrypted, in the cluster
//! for two hours, for `kubeadm join --control-plane`.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use pki::ExternalEtcdFiles;
use serde_json::Value;
use zeroize::Zeroizing;

use super::execution::Execution;
use super::objects::Changes;
use crate::desired::context::Context;
use crate::inventory::{Cluster, Etcd};
use crate::kubernetes::api::ApiError;
use crate::kubernetes::upload_certs::CertificateKey;
use crate::kubernetes::{Token, TokenSecret, upload_certs};
use crate::layout::names;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// Applies the RBAC objects, and uploads if planned. Replaces earlier uploads.
///
/// # Errors
/// An error of the API; files of an external etcd that cannot be read.
pub(super) async fn apply(execution: &Execution<'_>, changes: &Changes) -> Result<(), Error> {
    let Some(key) = &execution.plan.certificate_key else {
        return changes.apply_phase(execution, Phase::UploadCerts).await;
    };
    let part = execution.run.tracker.part(Phase::UploadCerts);
    changes.apply_in(execution, &part).await?;
    upload(execution, key, &part).await
}

async fn upload(execution: &Execution<'_>, key: &CertificateKey, part: &Part) -> Result<(), Error> {
    let (run, api) = (execution.run, &execution.api);
    let data = sealed(&run.cluster, &execution.plan.context, key)?;
    let owner = TokenSecret::for_uploaded_certs(Token::generate()?, jiff::Timestamp::now());
    run.journalled(
        None,
        Phase::UploadCerts,
        "Secret kube-system/kubeadm-certs and its owner",
        async {
            let secrets: Api<Secret> = Api::namespaced(api.admin.clone(), "kube-system");
            let owner = put(&secrets, owner.object()).await?;
            let metadata = owner.metadata;
            let (name, uid) = (
                metadata.name.unwrap_or_default(),
                metadata.uid.unwrap_or_default(),
            );
            put(&secrets, upload_certs::secret(&data, (&name, &uid))).await?;
            Ok(())
        },
    )
    .await?;
    part.changed("Secret kube-system/kubeadm-certs", "uploaded");
    Ok(())
}

/// Creates or replaces a Secret. Server-side apply would not do: kubeadm may have written
/// it as well, and the owner references of both would be merged.
async fn put(secrets: &Api<Secret>, object: Value) -> Result<Secret, Error> {
    let secret: Secret =
        serde_json::from_value(object).map_err(|error| ApiError::Client(error.to_string()))?;
    let name = secret.metadata.name.clone().unwrap_or_default();
    let params = PostParams {
        field_manager: Some(names::FIELD_MANAGER.into()),
        ..PostParams::default()
    };
    let result = match secrets.create(&params, &secret).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {
            secrets.replace(&name, &params, &secret).await
        }
        result => result,
    };
    Ok(result.map_err(ApiError::request(format!(
        "write Secret kube-system/{name}"
    )))?)
}

/// What is uploaded, encrypted.
fn sealed(
    cluster: &Cluster,
    context: &Context,
    key: &CertificateKey,
) -> Result<std::collections::BTreeMap<String, Vec<u8>>, Error> {
    let Etcd::External(etcd) = &cluster.etcd else {
        return Ok(context.pki.uploads(key.bytes(), None)?);
    };
    let (ca, cert, client_key) = (
        read(etcd.ca_file.as_ref())?,
        read(etcd.cert_file.as_ref())?,
        read(etcd.key_file.as_ref())?,
    );
    let files = match (&ca, &cert, &client_key) {
        (Some(ca), Some(cert), Some(key)) => Some(ExternalEtcdFiles { ca, cert, key }),
        _ => None,
    };
    Ok(context.pki.uploads(key.bytes(), files)?)
}

fn read(path: Option<&PathBuf>) -> Result<Option<Zeroizing<String>>, Error> {
    let Some(path) = path else { return Ok(None) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(source) => Err(Error::File {
            what: "read",
            path: path.clone(),
            source,
        }),
    }
}
