//! Where the cluster's data lives.

use super::fault::Fault;
use super::resolver::Resolver;
use super::{components, syntax, values};
use crate::inventory::cluster::{Etcd, ExternalEtcd, LocalEtcd};
use crate::inventory::spec::{EtcdSpec, ExternalEtcdSpec, LocalEtcdSpec, defaults};
use crate::inventory::yaml::FieldPath;

/// Resolves `local`, which is the default, or `external`.
pub(super) fn resolve_etcd(given: EtcdSpec, at: &FieldPath, resolver: &mut Resolver<'_>) -> Etcd {
    if given.local.is_some() && given.external.is_some() {
        resolver.report(
            Fault::error(&at.key("external"), "etcd can't be both local and external")
                .at_key()
                .also(&at.key("local"), "local etcd is set here")
                .help("remove one of the two"),
        );
    }
    let local = given.local.unwrap_or_default();
    let local = resolve_local(local, &at.key("local"), resolver);
    match given.external {
        Some(external) => Etcd::External(resolve_external(external, &at.key("external"), resolver)),
        None => Etcd::Local(local),
    }
}

/// The directory of a local etcd's data.
pub(super) fn local_data_dir(etcd: &Etcd) -> Option<&str> {
    match etcd {
        Etcd::Local(local) => Some(&local.data_dir),
        Etcd::External(_) => None,
    }
}

fn resolve_local(given: LocalEtcdSpec, at: &FieldPath, resolver: &mut Resolver<'_>) -> LocalEtcd {
    let data_dir = values::resolve_host_dir(
        given.data_dir.as_deref(),
        defaults::ETCD_DATA_DIR,
        &at.key("dataDir"),
        resolver,
    );
    values::check_image(
        given.image_repository.as_deref(),
        given.image_tag.as_deref(),
        at,
        resolver,
    );
    components::check_extra_args(&given.extra_args, &at.key("extraArgs"), resolver);
    components::check_extra_envs(&given.extra_envs, &at.key("extraEnvs"), resolver);
    components::check_sans(&given.server_cert_sans, &at.key("serverCertSANs"), resolver);
    components::check_sans(&given.peer_cert_sans, &at.key("peerCertSANs"), resolver);
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

fn resolve_external(
    given: ExternalEtcdSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> ExternalEtcd {
    let endpoints_at = at.key("endpoints");
    if given.endpoints.is_empty() {
        let fault = Fault::error(
            &endpoints_at,
            "an external etcd needs at least one endpoint",
        );
        resolver.report(
            fault
                .about_whole()
                .help("for example `- https://etcd1.example.com:2379`"),
        );
    }
    // The API server would talk to etcd in the clear: refused, for what it
    // says there includes every Secret.
    for (index, endpoint) in given.endpoints.iter().enumerate() {
        resolver.check(
            &endpoints_at.index(index),
            syntax::check_url(endpoint, &["https"]),
        );
    }
    for (index, endpoint) in given.http_endpoints.iter().enumerate() {
        let at = at.key("httpEndpoints").index(index);
        resolver.check(&at, syntax::check_url(endpoint, &["https", "http"]));
    }
    let pair = [("certFile", &given.cert_file), ("keyFile", &given.key_file)];
    if let [(given, Some(_)), (missing, None)] | [(missing, None), (given, Some(_))] = pair {
        let message = format!("`{given}` needs `{missing}` as well");
        resolver.report(Fault::error(&at.key(given), message).at_key());
    }
    let mut file = |file: &Option<String>, field| {
        let file = file.as_ref()?;
        Some(resolver.require_file(&at.key(field), file))
    };
    ExternalEtcd {
        ca_file: file(&given.ca_file, "caFile"),
        cert_file: file(&given.cert_file, "certFile"),
        key_file: file(&given.key_file, "keyFile"),
        endpoints: given.endpoints,
        http_endpoints: given.http_endpoints,
    }
}
