//! Command lines as strict as the real ones: `data/flags.txt` lists every flag of three
//! releases, `REMOVED` what is known of the minors between and after them.

use std::collections::BTreeMap;

use crate::version::Release;

const TABLE: &str = include_str!("../data/flags.txt");

/// Component, first minor that no longer has them, flags.
const REMOVED: &[(&str, u32, &str)] = &[
    ("kubelet", 34, "cloud-config"),
    ("kubelet", 35, "pod-infra-container-image"),
    (
        "kubelet",
        37,
        "containerd global-housekeeping-interval storage-driver-db storage-driver-host \
         storage-driver-user storage-driver-password storage-driver-table storage-driver-secure",
    ),
    ("kube-controller-manager", 37, "concurrent-service-syncs"),
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
    // etcd has the standard library's flags, the others pflag's.
    let go_flag = component == "etcd";
    let mut flags = Flags::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let long = arg.strip_prefix("--");
        let Some(body) = long.or_else(|| arg.strip_prefix('-').filter(|_| go_flag)) else {
            match arg.as_str() {
                "-v" => drop(rest.next()),
                short if short.starts_with("-v") => {}
                short if short.starts_with('-') => {
                    return Err(format!("unknown shorthand flag in {short}"));
                }
                _ if go_flag => return Err(format!("'{arg}' is not a valid flag")),
                _ => {
                    return Err(format!(
                        "{component} does not take any arguments, got {arg}"
                    ));
                }
            }
            continue;
        };
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        // pflag as Kubernetes sets it up takes "_" for "-".
        let (name, shown) = match go_flag {
            true => (name.to_owned(), format!("-{name}")),
            false => (name.replace('_', "-"), format!("--{name}")),
        };
        let Some(kind) = known.get(name.as_str()) else {
            return Err(match go_flag {
                true => format!("flag provided but not defined: {shown}"),
                false => format!("unknown flag: {shown}"),
            });
        };
        let value = match inline {
            Some(value) => value,
            None if matches!(*kind, "bool" | "version") => "true".to_owned(),
            None => match rest.next() {
                Some(value) => value.clone(),
                None => return Err(format!("flag needs an argument: {shown}")),
            },
        };
        check(kind, &value).map_err(|why| match go_flag {
            true => format!("invalid value {value:?} for flag {shown}: {why}"),
            false => format!("invalid argument {value:?} for \"{shown}\" flag: {why}"),
        })?;
        flags.0.entry(name).or_default().push(value);
    }
    Ok(flags)
}

fn table(component: &str, release: Release) -> BTreeMap<&'static str, &'static str> {
    let header = format!("[{component}]");
    let lines = TABLE.lines().skip_while(|line| *line != header).skip(1);
    let mut known = BTreeMap::from([("help", "bool")]);
    for line in lines.take_while(|line| !line.starts_with('[')) {
        let (head, names) = line.split_once(": ").unwrap_or_default();
        let (kind, range) = head.split_once(' ').unwrap_or((head, ""));
        if is_of(component, range, release) {
            known.extend(names.split(' ').map(|name| (name, kind)));
        }
    }
    for (of, until, names) in REMOVED {
        if *of == component && release.minor >= *until {
            known.retain(|known, _| names.split_whitespace().all(|name| name != *known));
        }
    }
    if component == "etcd" && release.minor >= ETCD_EXPERIMENTAL_GONE {
        known.retain(|name, _| !name.starts_with("experimental-"));
    }
    known
}

/// Whether a release has a flag that only `range` of 1.33, 1.35 and 1.36 have.
/// 1.34 gets the benefit of the doubt, but its etcd is 3.6, like that of 1.35.
fn is_of(component: &str, range: &str, release: Release) -> bool {
    let minor = match release.minor {
        34 if component == "etcd" => 35,
        minor => minor,
    };
    match range {
        "33-33" => minor <= 34,
        "35-36" => minor >= 34,
        "36-36" => minor >= 36,
        _ => true,
    }
}

fn check(kind: &str, value: &str) -> Result<(), String> {
    const BOOLS: &str = "true false 1 0 t f T F TRUE FALSE True False";
    let syntax = |function: &str| format!("strconv.{function}: parsing {value:?}: invalid syntax");
    let good = |good: bool, why: String| if good { Ok(()) } else { Err(why) };
    match kind {
        "bool" => good(BOOLS.split(' ').any(|b| b == value), syntax("ParseBool")),
        "int" => good(value.parse::<i64>().is_ok(), syntax("ParseInt")),
        "float" => good(value.parse::<f64>().is_ok(), syntax("ParseFloat")),
        "duration" => good(
            duration(value).is_some(),
            format!("time: invalid duration {value:?}"),
        ),
        "ip" => good(
            value.parse::<std::net::IpAddr>().is_ok(),
            format!("failed to parse IP: {value:?}"),
        ),
        "mapStringBool" => value
            .split(',')
            .filter(|p| !p.is_empty())
            .try_for_each(|pair| {
                let (_, gate) = pair.split_once('=').unwrap_or_default();
                good(
                    gate.trim().parse::<bool>().is_ok(),
                    format!("malformed pair, expect string=bool: {pair}"),
                )
            }),
        "taints" => value
            .split(',')
            .filter(|t| !t.is_empty())
            .try_for_each(|t| crate::api::parse_taint(t).map(|_| ())),
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
        self.get_or(name, "")
    }

    /// The last value, or `default`.
    pub fn get_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        let last = self.0.get(name).and_then(|values| values.last());
        last.map_or(default, String::as_str)
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
