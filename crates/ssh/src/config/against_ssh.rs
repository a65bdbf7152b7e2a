//! Our reading beside that of `ssh -G`, for the configurations in `corpus.txt`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::values::{AddressFamily, CanonicalizeMode};
use crate::hop::Hop;
use crate::reading::Reading;
use crate::settings::{Settings, Workstation};
use crate::target::Target;

/// What both sides say, by keyword.
type Values = BTreeMap<&'static str, String>;

/// Such as 9.2.
type Version = (u32, u32);

/// A file, and what it is asked.
#[derive(Default)]
struct Case {
    title: String,
    questions: Vec<String>,
    /// The first OpenSSH that knows what it is about.
    since: Option<Version>,
    our_error: Option<String>,
    files: Vec<(String, String)>,
}

fn read_corpus() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("corpus.txt")
        .split_inclusive('\n')
        .skip_while(|line| !line.starts_with("##"))
    {
        if let Some(title) = line.strip_prefix("## ") {
            cases.push(Case {
                title: title.trim().into(),
                files: vec![("config".into(), String::new())],
                ..Case::default()
            });
            continue;
        }
        let case = cases.last_mut().unwrap();
        match line.split_at_checked(2) {
            Some(("$ ", question)) => case.questions.push(question.trim().into()),
            Some(("@ ", since)) => case.since = Some(parse_version(since)),
            Some(("! ", error)) => case.our_error = Some(error.trim().into()),
            _ => match line.strip_prefix("--- ") {
                Some(name) => case.files.push((name.trim().into(), String::new())),
                None => case.files.last_mut().unwrap().1.push_str(line),
            },
        }
    }
    cases
}

#[test]
fn the_corpus_is_read_as_ssh_reads_it() {
    let version = ssh_version();
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in read_corpus() {
        if case.since.is_some_and(|since| version < since) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in &case.files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text.replace("DIR", &dir.path().display().to_string())).unwrap();
        }
        let mut refused = 0;
        for question in &case.questions {
            compared += 1;
            let (theirs, ours) = (
                ask_ssh(dir.path(), question),
                ask_ourselves(dir.path(), question),
            );
            let at = format!("{}: {question}", case.title);
            match (theirs, ours, &case.our_error) {
                (Err(_), Err(_), _) => {}
                (Ok(_), Err(error), Some(expected)) if error.contains(expected) => refused += 1,
                (Err(theirs), Ok(_), _) => wrong.push(format!("{at}: ssh refuses it: {theirs}")),
                (Ok(_), Err(ours), _) => wrong.push(format!("{at}: only we refuse it: {ours}")),
                (Ok(theirs), Ok(ours), _) => wrong.extend(differences(&theirs, &ours, &at)),
            }
        }
        if case.our_error.is_some() && refused == 0 {
            wrong.push(format!("{}: we have no error of our own", case.title));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 60, "{compared}");
}

fn differences(theirs: &Values, ours: &Values, at: &str) -> Vec<String> {
    let none = String::new();
    ours.iter()
        .map(|(key, ours)| (key, theirs.get(key).unwrap_or(&none), ours))
        .filter(|(_, theirs, ours)| theirs != ours)
        .map(|(key, theirs, ours)| format!("{at}: {key}: ssh {theirs:?}, we {ours:?}"))
        .collect()
}

fn ssh_version() -> Version {
    let output = Command::new("ssh")
        .arg("-V")
        .output()
        .expect("no ssh found: install openssh-client");
    let text = String::from_utf8(output.stderr).unwrap();
    parse_version(
        text.strip_prefix("OpenSSH_")
            .expect("this ssh is not OpenSSH"),
    )
}

fn parse_version(text: &str) -> Version {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// What `ssh -G` prints, or its last words.
fn ask_ssh(dir: &Path, question: &str) -> Result<Values, String> {
    let output = Command::new("ssh")
        .arg("-G")
        .arg("-F")
        .arg(dir.join("config"))
        .args(question.split(' '))
        .env_remove("NO_SUCH_VARIABLE")
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        values.entry(key.into()).or_default().push(value.into());
    }
    let get = |key: &str| {
        values
            .get(key)
            .map_or(String::new(), |values| values.join("\n"))
    };
    let mut said = Values::new();
    for key in PLAIN {
        said.insert(key, get(key));
    }
    let home = home();
    let files = format!(
        "{} {}",
        get("userknownhostsfile"),
        get("globalknownhostsfile")
    );
    said.insert("files", expand_tilde(&files, &home));
    for key in ["identityfile", "certificatefile", "revokedhostkeys"] {
        said.insert(key, get(key));
    }
    if said["identityfile"].contains("~/.ssh/id_ed25519") {
        said.insert("identityfile", String::new());
    }
    for (key, ours) in LISTS {
        said.insert(key, pick_ours(&get(key), ours));
    }
    // The default, which older ones don't print.
    said.retain(|key, value| *key != "requiredrsasize" || value != "1024");
    said.retain(|_, value| !value.is_empty() && value != "none");
    Ok(said)
}

/// Keywords of which both sides say the same, word for word.
const PLAIN: [&str; 20] = [
    "user",
    "hostname",
    "port",
    "addressfamily",
    "bindaddress",
    "bindinterface",
    "canonicalizehostname",
    "checkhostip",
    "connectionattempts",
    "connecttimeout",
    "hostkeyalias",
    "identitiesonly",
    "identityagent",
    "knownhostscommand",
    "preferredauthentications",
    "proxycommand",
    "proxyjump",
    "proxyusefdpass",
    "requiredrsasize",
    "tag",
];

/// Lists of algorithms, of which ours are compared.
const LISTS: [(&str, &str); 3] = [
    (
        "ciphers",
        "aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com aes256-ctr",
    ),
    (
        "macs",
        "hmac-sha2-512-etm@openssh.com hmac-sha2-256-etm@openssh.com hmac-sha2-512 hmac-sha2-256",
    ),
    (
        "hostkeyalgorithms",
        "ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512 rsa-sha2-256",
    ),
];

/// Those of a list that are among ours, whatever the order of the default.
fn pick_ours(list: &str, ours: &str) -> String {
    let ours = ours
        .split(' ')
        .filter(|one| list.split(',').any(|name| name == *one));
    ours.collect::<Vec<_>>().join(",")
}

fn ask_ourselves(dir: &Path, question: &str) -> Result<Values, String> {
    let mut words = question.split(' ');
    let mut settings = Settings::new(words.next().unwrap());
    while let (Some(option), Some(value)) = (words.next(), words.next()) {
        match option {
            "-l" => settings.user = Some(value.into()),
            "-p" => settings.port = Some(value.parse().unwrap()),
            "-J" => settings.proxy_jump = Some(value.into()),
            other => panic!("{other}"),
        }
    }
    let workstation = Workstation {
        home: home().into(),
        ssh_config: Some(dir.join("config")),
        system_config: None,
        agent: None,
        ..Workstation::current()
    };
    let target =
        Target::resolve("host", &settings, &workstation).map_err(|error| error.to_string())?;
    let reading =
        Reading::new("host", &settings, &workstation).map_err(|error| error.to_string())?;
    Ok(say_as_ssh(&target, &reading))
}

// Long: a line for each keyword.
/// What `ssh -G` would print of our reading.
fn say_as_ssh(target: &Target, reading: &Reading<'_>) -> Values {
    let config = &reading.config;
    let flag = |value: Option<bool>| if value == Some(true) { "yes" } else { "no" }.to_string();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let paths = |paths: &[PathBuf]| -> String {
        let paths = paths.iter().map(|path| path.display().to_string());
        paths.collect::<Vec<_>>().join(" ")
    };
    let family = match config.address_family.unwrap_or_default() {
        AddressFamily::Any => "any",
        AddressFamily::Inet => "inet",
        AddressFamily::Inet6 => "inet6",
    };
    let mode = match config.canonicalize.mode.unwrap_or_default() {
        CanonicalizeMode::No => "false",
        CanonicalizeMode::Yes => "true",
        CanonicalizeMode::Always => "always",
    };
    let seconds = config.connect_timeout.map(|timeout| timeout.as_secs());
    let agent = match config.identity_agent.as_deref() {
        Some(agent) => reading
            .expand_path("", agent)
            .unwrap()
            .display()
            .to_string(),
        None => String::new(),
    };
    let named = |algorithms: &[russh::keys::Algorithm]| {
        let names: Vec<_> = algorithms.iter().map(|one| one.as_str()).collect();
        names.join(",")
    };
    let ciphers: Vec<_> = target
        .algorithms
        .ciphers
        .iter()
        .map(AsRef::as_ref)
        .collect();
    let macs: Vec<_> = target.algorithms.macs.iter().map(AsRef::as_ref).collect();
    let mut said = Values::from([
        ("user", target.user.clone()),
        ("hostname", target.address.clone()),
        ("port", target.port.to_string()),
        ("addressfamily", family.into()),
        ("bindaddress", text(&config.bind_address)),
        ("bindinterface", text(&config.bind_interface)),
        ("canonicalizehostname", mode.into()),
        ("checkhostip", flag(config.check_host_ip)),
        (
            "connectionattempts",
            config.connection_attempts.unwrap_or(1).to_string(),
        ),
        (
            "connecttimeout",
            seconds.map(|s| s.to_string()).unwrap_or_default(),
        ),
        ("hostkeyalias", text(&config.host_key_alias)),
        ("identitiesonly", flag(config.identities_only)),
        ("identityagent", agent),
        ("knownhostscommand", text(&config.known_hosts_command)),
        (
            "preferredauthentications",
            text(&config.preferred_authentications),
        ),
        (
            "proxycommand",
            config.proxy_command().unwrap_or_default().into(),
        ),
        (
            "proxyjump",
            config.proxy_jump().map(say_jumps).unwrap_or_default(),
        ),
        ("proxyusefdpass", flag(config.proxy_use_fdpass)),
        (
            "requiredrsasize",
            config
                .required_rsa_size
                .map(|size| size.to_string())
                .unwrap_or_default(),
        ),
        ("tag", text(&config.tag)),
        ("files", paths(&target.host_key.files)),
        ("identityfile", config.identity_files.join("\n")),
        ("certificatefile", config.certificate_files.join("\n")),
        ("revokedhostkeys", paths(&target.host_key.revoked)),
        (
            "hostkeyalgorithms",
            pick_ours(&named(&target.algorithms.host_keys), LISTS[2].1),
        ),
        ("ciphers", pick_ours(&ciphers.join(","), LISTS[0].1)),
        ("macs", pick_ours(&macs.join(","), LISTS[1].1)),
    ]);
    for value in said.values_mut().filter(|value| *value == "none") {
        value.clear();
    }
    said
}

/// As `ssh -G` prints them: the last one with brackets around an address.
fn say_jumps(jumps: &str) -> String {
    let mut hops = Hop::parse_list(jumps).unwrap();
    let last = hops.pop().unwrap();
    let is_address = last.host.contains(':')
        || !last
            .host
            .contains(|c: char| c != '.' && !c.is_ascii_digit());
    let host = match is_address {
        true => format!("[{}]", last.host),
        false => last.host,
    };
    let before = jumps
        .rsplit_once(',')
        .map(|(before, _)| format!("{before},"));
    let user = last.user.map(|user| format!("{user}@"));
    let port = last.port.map(|port| format!(":{port}"));
    [before, user, Some(host), port]
        .into_iter()
        .flatten()
        .collect()
}

/// The home directory that `ssh` goes by, whatever the environment says.
fn home() -> String {
    let uid = std::fs::metadata("/proc/self").unwrap().uid().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let mut entries = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|fields| fields[2] == uid).unwrap();
    entry[5].to_string()
}

fn expand_tilde(files: &str, home: &str) -> String {
    let files = files
        .split(' ')
        .filter(|file| !file.is_empty() && *file != "none");
    let files = files.map(|file| match file.strip_prefix("~/") {
        Some(rest) => format!("{home}/{rest}"),
        None => file.to_string(),
    });
    files.collect::<Vec<_>>().join(" ")
}
