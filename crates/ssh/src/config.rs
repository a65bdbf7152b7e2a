//! `~/.ssh/config`, as far as it concerns reaching a host.
//!
//! Written by hand because of OpenSSH's rules: the first value found wins
//! (identity files add up), a file may include others inside a `Host` block,
//! and one line that we don't know must not make the rest unreadable.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use text::glob;

/// OpenSSH's own limit on nested `Include`s.
const MAX_INCLUDE_DEPTH: usize = 16;

/// What the files say about one host. `None`: nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostConfig {
    pub host_name: Option<String>,
    pub host_key_alias: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub identity_files: Vec<String>,
    pub identities_only: Option<bool>,
    pub identity_agent: Option<String>,
    pub proxy_jump: Option<String>,
    pub proxy_command: Option<String>,
    pub user_known_hosts: Option<Vec<String>>,
    pub global_known_hosts: Option<Vec<String>>,
    pub connect_timeout: Option<Duration>,
    /// What could not be honoured, each with file and line.
    pub warnings: Vec<String>,
}

/// Where the files are.
pub(crate) struct Files<'a> {
    /// The user's home, for `~` and relative includes.
    pub home: &'a Path,
    /// The user's own file.
    pub user: Option<&'a Path>,
    /// The system's, read after the user's.
    pub system: Option<&'a Path>,
}

/// What the files say about `host`, the name as the operator wrote it.
///
/// A file that doesn't exist says nothing; one that can't be read is an error.
pub(crate) fn query_config(
    files: &Files<'_>,
    host: &str,
) -> Result<HostConfig, (PathBuf, std::io::Error)> {
    let mut reader = Reader {
        home: files.home,
        host,
        found: HostConfig::default(),
        seen: HashMap::new(),
    };
    for (path, base) in [
        (files.user, files.home.join(".ssh")),
        (files.system, PathBuf::from("/etc/ssh")),
    ] {
        let Some(path) = path else { continue };
        match std::fs::read(path) {
            Ok(text) => reader.read_lines(path, &String::from_utf8_lossy(&text), &base, true, 0),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err((path.to_path_buf(), error)),
        }
    }
    Ok(reader.found)
}

struct Reader<'a> {
    home: &'a Path,
    host: &'a str,
    found: HostConfig,
    /// Single-valued keywords that have their value.
    seen: HashMap<String, ()>,
}

impl Reader<'_> {
    fn read_lines(&mut self, path: &Path, text: &str, base: &Path, outer: bool, depth: usize) {
        let mut active = outer;
        for (number, line) in text.lines().enumerate() {
            let place = || format!("{}:{}", path.display(), number + 1);
            let (keyword, words) = match split_line(line) {
                Ok(Some(parts)) => parts,
                Ok(None) => continue,
                Err(why) => {
                    self.found
                        .warnings
                        .push(format!("{}: {why}; line ignored", place()));
                    continue;
                }
            };
            match keyword.as_str() {
                "host" => {
                    active =
                        outer && glob::list_matches(words.iter().map(String::as_str), self.host);
                }
                "match" if words.len() == 1 && words[0].eq_ignore_ascii_case("all") => {
                    active = outer;
                }
                "match" => {
                    active = false;
                    self.found.warnings.push(format!(
                        "{}: Match blocks are not supported; this one is ignored",
                        place()
                    ));
                }
                "include" if active => {
                    if depth >= MAX_INCLUDE_DEPTH {
                        self.found
                            .warnings
                            .push(format!("{}: too many nested includes", place()));
                        continue;
                    }
                    for word in &words {
                        self.include_files(&place(), word, base, depth);
                    }
                }
                _ if active => {
                    if let Err(why) = self.set_value(&keyword, &words) {
                        self.found
                            .warnings
                            .push(format!("{}: {why}; line ignored", place()));
                    }
                }
                _ => {}
            }
        }
    }

    fn include_files(&mut self, place: &str, word: &str, base: &Path, depth: usize) {
        let expanded = expand_home(word, self.home);
        let full = if expanded.is_absolute() {
            expanded
        } else {
            base.join(expanded)
        };
        for file in expand_glob(&full) {
            match std::fs::read(&file) {
                Ok(text) => {
                    self.read_lines(
                        &file,
                        &String::from_utf8_lossy(&text),
                        base,
                        true,
                        depth + 1,
                    );
                }
                Err(error) => self.found.warnings.push(format!(
                    "{place}: cannot include {}: {error}",
                    file.display()
                )),
            }
        }
    }

    fn set_value(&mut self, keyword: &str, words: &[String]) -> Result<(), String> {
        let found = &mut self.found;
        let first = words
            .first()
            .ok_or_else(|| format!("{keyword} has no value"))?;
        if keyword == "identityfile" {
            found.identity_files.push(first.clone());
            return Ok(());
        }
        // The first value wins, also over a later one that is more specific.
        if self.seen.contains_key(keyword) {
            return Ok(());
        }
        match keyword {
            "hostname" => found.host_name = Some(first.clone()),
            "hostkeyalias" => found.host_key_alias = Some(first.clone()),
            "port" => {
                let port = first.parse().ok().filter(|port| *port != 0);
                found.port = Some(port.ok_or_else(|| format!("invalid port {first:?}"))?);
            }
            "user" => found.user = Some(first.clone()),
            "identitiesonly" => found.identities_only = Some(parse_yes_no(first)?),
            "identityagent" => found.identity_agent = Some(first.clone()),
            "proxyjump" => {
                // Whichever of ProxyJump and ProxyCommand comes first wins.
                self.seen.insert("proxycommand".into(), ());
                found.proxy_jump = Some(first.clone());
            }
            "proxycommand" => {
                self.seen.insert("proxyjump".into(), ());
                found.proxy_command = Some(words.join(" "));
            }
            "userknownhostsfile" => found.user_known_hosts = Some(words.to_vec()),
            "globalknownhostsfile" => found.global_known_hosts = Some(words.to_vec()),
            "connecttimeout" => {
                if !first.eq_ignore_ascii_case("none") {
                    found.connect_timeout = Some(parse_time(first)?);
                }
            }
            _ => return Ok(()),
        }
        self.seen.insert(keyword.to_string(), ());
        Ok(())
    }
}

/// A line's keyword, in lower case, and its arguments; `None` for a blank line
/// or a comment.
fn split_line(line: &str) -> Result<Option<(String, Vec<String>)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let keyword = line[..end].to_ascii_lowercase();
    let rest = line[end..].trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);

    let mut words = Vec::new();
    let mut chars = rest.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(Some((keyword, words))),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote: Option<char> = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_whitespace()) {
            match (c, quote) {
                ('"' | '\'', None) => quote = Some(c),
                (_, Some(open)) if c == open => quote = None,
                ('\\', _) => match chars.peek() {
                    Some(&next @ ('"' | '\'' | '\\')) => {
                        chars.next();
                        word.push(next);
                    }
                    _ => word.push(c),
                },
                _ => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("unterminated quote".into());
        }
        words.push(word);
    }
}

fn parse_yes_no(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{word:?} is neither `yes` nor `no`")),
    }
}

/// OpenSSH's time format: seconds, or numbers with units, such as `1m30s`.
fn parse_time(word: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid time {word:?}");
    let mut total: u64 = 0;
    let mut digits = String::new();
    for c in word.chars() {
        let unit = match c.to_ascii_lowercase() {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        total = number
            .checked_mul(unit)
            .and_then(|n| total.checked_add(n))
            .ok_or_else(wrong)?;
        digits.clear();
    }
    if !digits.is_empty() {
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        total = total.checked_add(number).ok_or_else(wrong)?;
    }
    Ok(Duration::from_secs(total))
}

/// `~/x` under `home`; anything else as it is.
pub(crate) fn expand_home(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_path_buf(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// The files that a path with `*` and `?` in its components names, sorted.
fn expand_glob(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        let name = component.as_os_str();
        let wild = name.to_str().filter(|name| name.contains(['*', '?']));
        found = match wild {
            None => found.into_iter().map(|dir| dir.join(name)).collect(),
            Some(wild) => found
                .iter()
                .flat_map(|dir| list_matching(dir, wild))
                .collect(),
        };
    }
    found.retain(|path| path.is_file());
    found
}

fn list_matching(dir: &Path, wild: &str) -> Vec<PathBuf> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| wild.starts_with('.') || !name.starts_with('.'))
        .filter(|name| glob::matches(wild, name))
        .collect();
    names.sort();
    names.into_iter().map(|name| dir.join(name)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(text: &str, host: &str) -> HostConfig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, text).unwrap();
        let files = Files {
            home: dir.path(),
            user: Some(&path),
            system: None,
        };
        query_config(&files, host).unwrap()
    }

    #[test]
    fn the_first_value_wins() {
        let text = "User early\nHost web*\n  User late\n  Port 2201\nHost *\n Port 22\n";
        let found = ask(text, "web1");
        assert_eq!(found.user.as_deref(), Some("early"));
        assert_eq!(found.port, Some(2201));
        assert_eq!(ask(text, "db1").port, Some(22));
    }

    #[test]
    fn identity_files_add_up() {
        let found = ask(
            "Host a\nIdentityFile k1\nHost *\nIdentityFile \"k 2\" # why\n",
            "a",
        );
        assert_eq!(found.identity_files, ["k1", "k 2"]);
    }

    #[test]
    fn negation_equals_signs_and_case() {
        let text = "hOST web* !web9\nHOSTNAME=10.0.0.1\nPort = 23\n";
        assert_eq!(ask(text, "web1").host_name.as_deref(), Some("10.0.0.1"));
        assert_eq!(ask(text, "web1").port, Some(23));
        assert_eq!(ask(text, "web9").host_name, None);
    }

    #[test]
    fn a_match_block_is_left_out_and_said() {
        let found = ask("Match exec true\n  User wrong\nHost *\n  User right\n", "a");
        assert_eq!(found.user.as_deref(), Some("right"));
        assert_eq!(found.warnings.len(), 1);
        assert!(
            found.warnings[0].contains("config:1: Match"),
            "{:?}",
            found.warnings
        );
        assert_eq!(ask("Match all\nUser u\n", "a").user.as_deref(), Some("u"));
    }

    #[test]
    fn a_bad_line_hides_no_other() {
        let found = ask(
            "Port many\nUser \"open\nIdentitiesOnly perhaps\nPort 24\n",
            "a",
        );
        assert_eq!(found.port, Some(24));
        assert_eq!(found.warnings.len(), 3, "{:?}", found.warnings);
    }

    #[test]
    fn includes_apply_where_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let ssh = dir.path().join(".ssh");
        std::fs::create_dir_all(ssh.join("conf.d")).unwrap();
        std::fs::write(ssh.join("conf.d/1"), "User one\nHost b\nPort 1\n").unwrap();
        std::fs::write(ssh.join("conf.d/2"), "User two\nPort 2\n").unwrap();
        let path = ssh.join("config");
        std::fs::write(
            &path,
            "Host a\nInclude conf.d/*\nInclude config\nHost *\nPort 3\n",
        )
        .unwrap();
        let files = Files {
            home: dir.path(),
            user: Some(&path),
            system: None,
        };
        let found = query_config(&files, "a").unwrap();
        assert_eq!(found.user.as_deref(), Some("one"));
        assert_eq!(found.port, Some(2));
        assert!(found.warnings[0].contains("too many nested includes"));
        // Inside `Host a`, so the included `Host b` can't apply to b.
        assert_eq!(query_config(&files, "b").unwrap().port, Some(3));
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("1m30s"), Ok(Duration::from_secs(90)));
        assert!(parse_time("soon").is_err());
        assert!(parse_time("99999999999999999999w").is_err());
    }

    #[test]
    fn an_unreadable_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files {
            home: dir.path(),
            user: Some(dir.path()),
            system: None,
        };
        assert!(query_config(&files, "a").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "((Host|Port|Include|User|Match|IdentityFile)?[ ='\"\\\\#a-z*0-9]{0,12}\n){0,12}") {
            ask(&text, "a");
        }
    }
}
