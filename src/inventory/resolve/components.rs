//! Arguments, environment and volumes of the control plane's pods.

use std::collections::HashMap;

use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use crate::inventory::spec::{ApiServer, Arg, ControlPlaneComponent, EnvVar, HostPathMount};
use crate::inventory::yaml::{FieldPath, find_closest, shorten};

/// Types of a `hostPath` volume. The empty one means "no check".
const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
];

/// Checks the API server's settings.
pub(super) fn check_api_server(given: &ApiServer, at: &FieldPath, resolver: &mut Resolver<'_>) {
    check_sans(&given.cert_sans, &at.key("certSANs"), resolver);
    check_extra_args(&given.extra_args, &at.key("extraArgs"), resolver);
    check_extra_envs(&given.extra_envs, &at.key("extraEnvs"), resolver);
    check_extra_volumes(&given.extra_volumes, &at.key("extraVolumes"), resolver);
}

/// Checks the settings of the controller manager or the scheduler.
pub(super) fn check_component(
    given: &ControlPlaneComponent,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    check_extra_args(&given.extra_args, &at.key("extraArgs"), resolver);
    check_extra_envs(&given.extra_envs, &at.key("extraEnvs"), resolver);
    check_extra_volumes(&given.extra_volumes, &at.key("extraVolumes"), resolver);
}

/// Names and addresses for a certificate.
pub(super) fn check_sans(sans: &[String], at: &FieldPath, resolver: &mut Resolver<'_>) {
    for (index, san) in sans.iter().enumerate() {
        let valid = match syntax::check_host_name_or_ip(san) {
            Ok(()) => Ok(()),
            Err(problem) => syntax::check_dns_name_or_wildcard(san).map_err(|_| problem),
        };
        resolver.check(&at.index(index), valid);
    }
}

/// Names of flags. Which of them a component has is its own business.
pub(super) fn check_extra_args(args: &[Arg], at: &FieldPath, resolver: &mut Resolver<'_>) {
    for (index, arg) in args.iter().enumerate() {
        let at = at.index(index).key("name");
        let name = arg.name.trim_start_matches('-');
        let (flag, value) = match name.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (name, None),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if flag.is_empty() || !flag.bytes().all(allowed) {
            let message = format!("`{at}` is not a valid flag name, such as `audit-log-path`");
            resolver.report(Fault::error(&at, message));
        } else if let Some(value) = value {
            let (flag, value) = (shorten(flag), shorten(value));
            resolver.report(
                Fault::error(&at, format!("`{at}` contains a value"))
                    .help(format!("write `name: {flag}` and `value: \"{value}\"`")),
            );
        } else if name != arg.name {
            resolver.report(
                Fault::error(&at, format!("`{at}` must not start with `-`"))
                    .help(format!("write `name: {}`", shorten(name))),
            );
        }
    }
}

/// Names of environment variables.
pub(super) fn check_extra_envs(envs: &[EnvVar], at: &FieldPath, resolver: &mut Resolver<'_>) {
    for (index, env) in envs.iter().enumerate() {
        let start = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.');
        let valid = env.name.bytes().next().is_some_and(start)
            && env.name.bytes().all(|b| start(b) || b.is_ascii_digit());
        if !valid {
            let at = at.index(index).key("name");
            let message = format!("`{at}` is not a valid environment variable name");
            resolver.report(Fault::error(&at, message));
        }
    }
}

fn check_extra_volumes(volumes: &[HostPathMount], at: &FieldPath, resolver: &mut Resolver<'_>) {
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (index, volume) in volumes.iter().enumerate() {
        let here = at.index(index);
        resolver.check(&here.key("name"), syntax::check_dns_label(&volume.name));
        let host_path = syntax::check_absolute_path(&volume.host_path);
        resolver.check(&here.key("hostPath"), host_path);
        let mount_path = match volume.mount_path.contains(':') {
            true => Err("must not contain `:`".to_owned()),
            false => syntax::check_absolute_path(&volume.mount_path),
        };
        resolver.check(&here.key("mountPath"), mount_path);
        if let Some(first) = names.insert(&volume.name, index) {
            resolver.report(
                Fault::error(&here.key("name"), "duplicate volume name")
                    .label("used again here")
                    .also(&at.index(first).key("name"), "first used here"),
            );
        }
        if let Some(kind) = &volume.path_type
            && !HOST_PATH_TYPES.contains(&kind.as_str())
        {
            let message = format!("unknown hostPath type `{}`", shorten(kind));
            let help = match find_closest(kind, HOST_PATH_TYPES.into_iter()) {
                Some(kind) => format!("did you mean `{kind}`?"),
                None => format!("expected one of {}", HOST_PATH_TYPES[1..].join(", ")),
            };
            resolver.report(Fault::error(&here.key("pathType"), message).help(help));
        }
    }
}
