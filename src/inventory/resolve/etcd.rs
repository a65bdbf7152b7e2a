//! Where the cluster's data lives.

use super::super::cluster::{Etcd, ExternalEtcd, LocalEtcd};
use super::super::context::{Context, Fault};
use super::super::spec;
use super::super::syntax;
use super::super::tree::Path;
use super::{component, options};
use crate::layout::paths;

/// Resolves `local`, which is the default, or `external`.
pub(super) fn etcd(given: spec::Etcd, at: &Path, context: &mut Context<'_>) -> Etcd {
    if given.local.is_some() && given.external.is_some() {
        context.report(
            Fault::error(&at.key("external"), "etcd is either local or external")
                .at_key()
                .also(&at.key("local"), "not both")
                .help("delete one of the two"),
        );
    }
    let local = given.local.unwrap_or_default();
    let local = self::local(local, &at.key("local"), context);
    match given.external {
        Some(external) => Etcd::External(self::external(external, &at.key("external"), context)),
        None => Etcd::Local(local),
    }
}

/// The directory of a local etcd's data.
pub(super) fn data_dir(etcd: &Etcd) -> Option<&str> {
    match etcd {
        Etcd::Local(local) => Some(&local.data_dir),
        Etcd::External(_) => None,
    }
}

fn local(given: spec::LocalEtcd, at: &Path, context: &mut Context<'_>) -> LocalEtcd {
    let data_dir = options::host_dir(
        given.data_dir.as_deref(),
        paths::ETCD_DATA_DIR,
        &at.key("dataDir"),
        context,
    );
    options::image(
        given.image_repository.as_deref(),
        given.image_tag.as_deref(),
        at,
        context,
    );
    component::extra_args(&given.extra_args, &at.key("extraArgs"), context);
    component::extra_envs(&given.extra_envs, &at.key("extraEnvs"), context);
    component::sans(&given.server_cert_sans, &at.key("serverCertSANs"), context);
    component::sans(&given.peer_cert_sans, &at.key("peerCertSANs"), context);
    LocalEtcd {
        data_dir,
        image_repository: given.image_repository,
        image_tag: given.image_tag,
        extra_args: given.extra_args,
        extra_envs: given.extra_envs,
        server_cert_sans: given.server_cert_sans,
        peer_cert_sans: given.peer_cert_sans,
    }
}

fn external(given: spec::ExternalEtcd, at: &Path, context: &mut Context<'_>) -> ExternalEtcd {
    let endpoints_at = at.key("endpoints");
    if given.endpoints.is_empty() {
        let fault = Fault::error(&endpoints_at, "external etcd without an endpoint");
        context.report(
            fault
                .about_whole()
                .help("write `- https://etcd1.example.com:2379`"),
        );
    }
    // The API server would talk to etcd in the clear: refused, for what it
    // says there includes every Secret.
    for (index, endpoint) in given.endpoints.iter().enumerate() {
        context.valid(
            &endpoints_at.index(index),
            syntax::url(endpoint, &["https"]),
        );
    }
    for (index, endpoint) in given.http_endpoints.iter().enumerate() {
        let at = at.key("httpEndpoints").index(index);
        context.valid(&at, syntax::url(endpoint, &["https", "http"]));
    }
    let pair = [("certFile", &given.cert_file), ("keyFile", &given.key_file)];
    if let [(given, Some(_)), (missing, None)] | [(missing, None), (given, Some(_))] = pair {
        let message = format!("`{given}` needs `{missing}` beside it");
        context.report(Fault::error(&at.key(given), message).at_key());
    }
    let mut file = |file: &Option<String>, field| {
        let file = file.as_ref()?;
        Some(context.file(&at.key(field), file))
    };
    ExternalEtcd {
        ca_file: file(&given.ca_file, "caFile"),
        cert_file: file(&given.cert_file, "certFile"),
        key_file: file(&given.key_file, "keyFile"),
        endpoints: given.endpoints,
        http_endpoints: given.http_endpoints,
    }
}
