//! Proxies that a host names, and for whom.

use std::collections::BTreeMap;

use super::small_files::Files;
use crate::layout::paths;

/// `*_proxy` variables of /etc/environment and of root's environment, which
/// wins.
pub(super) fn proxies(files: &Files) -> Vec<(String, String)> {
    variables(files, &["/etc/environment", "env"])
}

/// Those that containerd should have: root's, and those of systemd, which wins, because
/// containerd had them so far. Empty where files of others give it some.
pub(super) fn runtime_proxies(files: &Files) -> Vec<(String, String)> {
    let theirs = runtime_proxy_files(files);
    if theirs.iter().any(|(_, name, _)| is_proxy(name)) {
        return Vec::new();
    }
    let found = variables(files, &["/etc/environment", "env", "systemd"]);
    let any = found
        .iter()
        .any(|(name, value)| is_proxy(name) && !value.is_empty());
    if any { found } else { Vec::new() }
}

/// Whether a variable names a proxy, not what goes without one.
fn is_proxy(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "http_proxy" | "https_proxy" | "all_proxy")
}

fn variables(files: &Files, sources: &[&str]) -> Vec<(String, String)> {
    let mut found = BTreeMap::new();
    for source in sources {
        for line in files.lines(source) {
            let line = line.trim().trim_start_matches("export ").trim_start();
            if let Some((name, value)) = assignment(line) {
                found.insert(name, value);
            }
        }
    }
    found.into_iter().collect()
}

fn assignment(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    let is_name = name.to_lowercase().ends_with("_proxy")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let value = value.trim().trim_matches(['"', '\'']);
    is_name.then(|| (name.to_owned(), value.to_owned()))
}

/// Path, name and value of what unit files and environments of containerd set, as far as they
/// are not ours.
pub(super) fn runtime_proxy_files(files: &Files) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (path, line) in files.all() {
        let unit = path.contains("/systemd/system/containerd.service");
        if path == paths::CONTAINERD_PROXY || !unit && !path.ends_with("/containerd") {
            continue;
        }
        let text = line.trim();
        let text = text.strip_prefix("Environment=").unwrap_or(text);
        let all = words(text);
        let all = all.iter().filter_map(|word| assignment(word));
        found.extend(all.map(|(name, value)| (path.to_owned(), name, value.replace("%%", "%"))));
    }
    found
}

/// The words of an `Environment=`, quoted as a whole or in their values.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.push(String::new()),
            (c, _) => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::wire::Sections;

    fn files(lines: &str) -> Files {
        let raw = format!("@@clusterctl gather 1\n@@section files\n{lines}@@end\n");
        Files::from_sections(&Sections::parse(raw.as_bytes(), "gather").expect("an answer"))
    }

    #[test]
    fn containerd_gets_those_of_the_host_and_of_systemd() {
        let found = runtime_proxies(&files(
            "./etc/environment:HTTP_PROXY=http://a:1\nenv:no_proxy=x\nsystemd:HTTP_PROXY=http://b:1\n",
        ));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            found,
            [pair("HTTP_PROXY", "http://b:1"), pair("no_proxy", "x")]
        );
        assert_eq!(runtime_proxies(&files("env:no_proxy=x\n")), []);
    }

    #[test]
    fn where_others_have_set_some_it_keeps_those() {
        let drop_in = "./etc/systemd/system/containerd.service.d/http-proxy.conf";
        let text = format!(
            "env:HTTP_PROXY=http://a:1\n{drop_in}:Environment=\"HTTPS_PROXY=http://u:p%%40@b:1\" 'NO_PROXY=x,y'\n"
        );
        assert_eq!(runtime_proxies(&files(&text)), []);
        let found = runtime_proxy_files(&files(&text));
        let shown: Vec<String> = found
            .iter()
            .map(|(path, name, value)| format!("{path} {name} {value}"))
            .collect();
        let path = drop_in.trim_start_matches('.');
        assert_eq!(
            shown,
            [
                format!("{path} HTTPS_PROXY http://u:p%40@b:1"),
                format!("{path} NO_PROXY x,y")
            ]
        );
        let ours = format!(
            "env:HTTP_PROXY=http://a:1\n.{}:Environment=\"HTTP_PROXY=http://a:1\"\n",
            paths::CONTAINERD_PROXY
        );
        assert_eq!(runtime_proxies(&files(&ours)).len(), 1);
        assert_eq!(runtime_proxy_files(&files(&ours)), []);
    }
}
