//! Arguments, environment and volumes of the control plane's pods.

use std::collections::HashMap;

use super::super::context::{Context, Fault};
use super::super::spec::{ApiServer, Arg, ControlPlaneComponent, EnvVar, HostPathMount};
use super::super::suggest::closest;
use super::super::syntax;
use super::super::tree::Path;
use super::super::yaml::shorten;

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
pub(super) fn api_server(given: &ApiServer, at: &Path, context: &mut Context<'_>) {
    sans(&given.cert_sans, &at.key("certSANs"), context);
    extra_args(&given.extra_args, &at.key("extraArgs"), context);
    extra_envs(&given.extra_envs, &at.key("extraEnvs"), context);
    extra_volumes(&given.extra_volumes, &at.key("extraVolumes"), context);
}

/// Checks the settings of the controller manager or the scheduler.
pub(super) fn component(given: &ControlPlaneComponent, at: &Path, context: &mut Context<'_>) {
    extra_args(&given.extra_args, &at.key("extraArgs"), context);
    extra_envs(&given.extra_envs, &at.key("extraEnvs"), context);
    extra_volumes(&given.extra_volumes, &at.key("extraVolumes"), context);
}

/// Names and addresses for a certificate.
pub(super) fn sans(sans: &[String], at: &Path, context: &mut Context<'_>) {
    for (index, san) in sans.iter().enumerate() {
        let valid = match syntax::host_name_or_ip(san) {
            Ok(()) => Ok(()),
            Err(wrong) => syntax::dns_name_or_wildcard(san).map_err(|_| wrong),
        };
        context.valid(&at.index(index), valid);
    }
}

/// Names of flags. Which of them a component has is its own business.
pub(super) fn extra_args(args: &[Arg], at: &Path, context: &mut Context<'_>) {
    for (index, arg) in args.iter().enumerate() {
        let at = at.index(index).key("name");
        let name = arg.name.trim_start_matches('-');
        let (flag, value) = match name.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (name, None),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if flag.is_empty() || !flag.bytes().all(allowed) {
            let message = format!("`{at}` is not a flag's name, such as `audit-log-path`");
            context.report(Fault::error(&at, message));
        } else if let Some(value) = value {
            let (flag, value) = (shorten(flag), shorten(value));
            context.report(
                Fault::error(&at, format!("`{at}` is a flag with its value"))
                    .help(format!("write `name: {flag}` and `value: \"{value}\"`")),
            );
        } else if name != arg.name {
            context.report(
                Fault::error(&at, format!("`{at}` starts with a dash"))
                    .help(format!("write `name: {}`", shorten(name))),
            );
        }
    }
}

/// Names of environment variables.
pub(super) fn extra_envs(envs: &[EnvVar], at: &Path, context: &mut Context<'_>) {
    for (index, env) in envs.iter().enumerate() {
        let start = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.');
        let valid = env.name.bytes().next().is_some_and(start)
            && env.name.bytes().all(|b| start(b) || b.is_ascii_digit());
        if !valid {
            let at = at.index(index).key("name");
            let message = format!("`{at}` is not an environment variable's name");
            context.report(Fault::error(&at, message));
        }
    }
}

fn extra_volumes(volumes: &[HostPathMount], at: &Path, context: &mut Context<'_>) {
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (index, volume) in volumes.iter().enumerate() {
        let here = at.index(index);
        context.valid(&here.key("name"), syntax::dns_label(&volume.name));
        let host_path = syntax::absolute_path(&volume.host_path);
        context.valid(&here.key("hostPath"), host_path);
        let mount_path = match volume.mount_path.contains(':') {
            true => Err("may not contain `:`".to_owned()),
            false => syntax::absolute_path(&volume.mount_path),
        };
        context.valid(&here.key("mountPath"), mount_path);
        if let Some(first) = names.insert(&volume.name, index) {
            context.report(
                Fault::error(&here.key("name"), "two volumes have one name")
                    .label("again here")
                    .also(&at.index(first).key("name"), "first here"),
            );
        }
        if let Some(kind) = &volume.path_type
            && !HOST_PATH_TYPES.contains(&kind.as_str())
        {
            let message = format!("there is no hostPath type `{}`", shorten(kind));
            let help = match closest(kind, HOST_PATH_TYPES.into_iter()) {
                Some(kind) => format!("did you mean `{kind}`?"),
                None => format!("it can be {}", HOST_PATH_TYPES[1..].join(", ")),
            };
            context.report(Fault::error(&here.key("pathType"), message).help(help));
        }
    }
}
