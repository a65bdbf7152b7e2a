//! Command lines as strict as the real ones: `data/flags.txt` lists every flag of three
//! releases, `CHANGED` what is known of the minors between and after them.

use std::collections::BTreeMap;

use crate::version::Release;

const TABLE: &str = include_str!("../data/flags.txt");

/// (component, flag, first minor that has it no more).
const CHANGED: &[(&str, &str, u32)] = &[
    ("kubelet", "cloud-config", 34),
    ("kubelet", "pod-infra-container-image", 35),
    ("kubelet", "containerd", 37),
    ("kubelet", "global-housekeeping-interval", 37),
    ("kubelet", "storage-driver-db", 37),
    ("kubelet", "storage-driver-host", 37),
    ("kubelet", "storage-driver-user", 37),
    ("kubelet", "storage-driver-password", 37),
    ("kubelet", "storage-driver-table", 37),
    ("kubelet", "storage-driver-secure", 37),
    ("kube-controller-manager", "concurrent-service-syncs", 37),
];

/// Etcd's experimental flags are still known, if deprecated, to 3.6 and gone in 3.7.
const ETCD_EXPERIMENTAL_GONE: u32 = 37;

/// A parsed command line.
#[derive(Debug, Default)]
pub struct Flags(BTreeMap<String, Vec<String>>);

/// Reads a command line as the component of that release does. The error is the
/// text that the real one prints after `Error: `.
pub fn parse(component: &str, release: Release, args: &[String]) -> Result<Flags, String> {
    let known = table(component, release);
    let go_flag = component == "etcd"; // The standard library's, not pflag.
    let mut flags = Flags::default();
    let mut rest = args.iter().peekable();
    while let Some(arg) = rest.next() {
        let Some(body) = arg
            .strip_prefix("--")
            .or_else(|| arg.strip_prefix('-').filter(|_| go_flag))
        else {
            if let Some(short) = arg.strip_prefix('-').filter(|s| !s.is_empty()) {
                if let Some(level) = short.strip_prefix('v') {
                    if level.is_empty() {
                        rest.next();
                    }
                    continue;
                }
                let first = short.chars().next().unwrap_or('-');
                return Err(format!("unknown shorthand flag: '{first}' in -{short}"));
            }
            return Err(match component {
                "etcd" => format!("'{arg}' is not a valid flag"),
                "kubelet" => format!("unknown command {arg}"),
                _ => format!("{component} does not take any arguments, got {args:?}"),
            });
        };
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        // pflag as Kubernetes sets it up takes "_" for "-".
        let name = if go_flag {
            name.to_owned()
        } else {
            name.replace('_', "-")
        };
        let Some(kind) = known.get(name.as_str()) else {
            return Err(if go_flag {
                format!("flag provided but not defined: -{name}")
            } else {
                format!("unknown flag: --{name}")
            });
        };
        let value = match inline {
            Some(value) => value,
            None if matches!(*kind, "bool" | "version") => "true".to_owned(),
            None => match rest.next() {
                Some(value) => value.clone(),
                None if go_flag => return Err(format!("flag needs an argument: -{name}")),
                None => return Err(format!("flag needs an argument: --{name}")),
            },
        };
        if let Err(why) = check(kind, &value) {
            return Err(if go_flag {
                format!("invalid value {value:?} for flag -{name}: {why}")
            } else {
                format!("invalid argument {value:?} for \"--{name}\" flag: {why}")
            });
        }
        flags.0.entry(name).or_default().push(value);
    }
    Ok(flags)
}

fn table(component: &str, release: Release) -> BTreeMap<&'static str, &'static str> {
    let header = format!("[{component}]");
    let mut known: BTreeMap<_, _> = TABLE
        .lines()
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, kind) = (words.next()?, words.next()?);
            has(component, words.next(), release).then_some((name, kind))
        })
        .collect();
    known.insert("help", "bool");
    for &(of, name, until) in CHANGED {
        if of == component && release.minor >= until {
            known.remove(name);
        }
    }
    if component == "etcd" && release.minor >= ETCD_EXPERIMENTAL_GONE {
        known.retain(|name, _| !name.starts_with("experimental-"));
    }
    known
}

/// Whether a release has a flag that the releases `range` of 1.33, 1.35 and 1.36 have.
/// 1.34 gets the benefit of the doubt, but its etcd is 3.6, like that of 1.35.
fn has(component: &str, range: Option<&str>, release: Release) -> bool {
    let minor = match release.minor {
        34 if component == "etcd" => 35,
        minor => minor,
    };
    match range {
        None => true,
        Some("33-33") => minor <= 34,
        Some("35-36") => minor >= 34,
        Some("36-36") => minor >= 36,
        Some(_) => minor >= 33,
    }
}

fn check(kind: &str, value: &str) -> Result<(), String> {
    let syntax = |function: &str| {
        Err(format!(
            "strconv.{function}: parsing {value:?}: invalid syntax"
        ))
    };
    match kind {
        "bool" if !matches!(value, "true" | "false" | "1" | "0" | "t" | "f" | "T" | "F" | "TRUE" | "FALSE" | "True" | "False") => {
            syntax("ParseBool")
        }
        "int" | "int32" if value.parse::<i64>().is_err() => syntax("ParseInt"),
        "float" | "float32" if value.parse::<f64>().is_err() => syntax("ParseFloat"),
        "duration" if duration(value).is_none() => Err(format!("time: invalid duration {value:?}")),
        "ip" if value.parse::<std::net::IpAddr>().is_err() => Err(format!("failed to parse IP: {value:?}")),
        "mapStringBool" => value.split(',').filter(|p| !p.is_empty()).try_for_each(|pair| {
            match pair.split_once('=') {
                Some((_, v)) if v.trim().parse::<bool>().is_ok() => Ok(()),
                Some((k, v)) => Err(format!("invalid value of {k}: {v}, err: strconv.ParseBool: parsing {v:?}: invalid syntax")),
                None => Err(format!("malformed pair, expect string=bool: {pair}")),
            }
        }),
        "[]v1.Taint" => value.split(',').filter(|t| !t.is_empty()).try_for_each(|t| crate::api::parse_taint(t).map(|_| ())),
        _ => Ok(()),
    }
}

/// Reads Go's durations: `1h2m3.5s`, `100ms`, `0`.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    let mut rest = text;
    if rest == "0" {
        return Some(std::time::Duration::ZERO);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (!text.is_empty()).then(|| std::time::Duration::from_secs_f64(total))
}

impl Flags {
    /// The last value of a flag; empty if it was not given.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .get(name)
            .and_then(|v| v.last())
            .map_or("", String::as_str)
    }

    /// The last value, or `default`.
    pub fn get_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0
            .get(name)
            .and_then(|v| v.last())
            .map_or(default, String::as_str)
    }

    /// All values of a flag, commas split.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.0
            .get(name)
            .into_iter()
            .flatten()
            .flat_map(|v| v.split(','))
            .filter(|v| !v.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Whether the flag was given at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A flag of type bool.
    pub fn bool(&self, name: &str, default: bool) -> bool {
        match self.get(name) {
            "" => default,
            value => matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::version::DEFAULT;

    fn args(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn unknown_flags_are_refused_as_pflag_does() {
        let error = parse("kube-apiserver", DEFAULT, &args(&["--bogus"])).unwrap_err();
        assert_eq!(error, "unknown flag: --bogus");
        let error = parse("etcd", DEFAULT, &args(&["--bogus=1"])).unwrap_err();
        assert_eq!(error, "flag provided but not defined: -bogus");
        let error = parse("kube-apiserver", DEFAULT, &args(&["--secure-port=abc"])).unwrap_err();
        assert_eq!(
            error,
            "invalid argument \"abc\" for \"--secure-port\" flag: strconv.ParseInt: parsing \"abc\": invalid syntax"
        );
    }

    #[test]
    fn flags_come_and_go_with_the_minor() {
        let pause = args(&["--pod-infra-container-image=x"]);
        let at = |minor| Release { minor, patch: 0 };
        assert!(parse("kubelet", at(34), &pause).is_ok());
        assert!(parse("kubelet", at(35), &pause).is_err());
        let gates = args(&["--feature-gates=InitialCorruptCheck=true"]);
        assert!(parse("etcd", at(33), &gates).is_err());
        assert!(parse("etcd", at(36), &gates).is_ok());
        let old = args(&["--experimental-initial-corrupt-check=true"]);
        assert!(parse("etcd", at(33), &old).is_ok());
        assert!(parse("etcd", at(37), &old).is_err());
    }

    #[test]
    fn values_split_and_repeat() {
        let flags = parse(
            "kube-apiserver",
            DEFAULT,
            &args(&[
                "--etcd-servers=a,b",
                "--etcd-servers",
                "c",
                "--allow-privileged",
            ]),
        )
        .unwrap();
        assert_eq!(flags.list("etcd-servers"), ["a", "b", "c"]);
        assert!(flags.bool("allow-privileged", false));
        assert_eq!(duration("1m0.5s").unwrap().as_millis(), 60_500);
        assert!(duration("5").is_none());
    }
}
