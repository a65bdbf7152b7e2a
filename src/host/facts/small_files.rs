//! Small files of a host, whose lines come in one section.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::host::wire::Sections;

/// Small files of the host, each line by the file that it is from.
pub(super) struct Files(Vec<(String, String)>);

impl Files {
    pub(super) fn from_sections(sections: &Sections<'_>) -> Self {
        let split = |line: String| {
            let (path, text) = line.split_once(':')?;
            Some((
                path.strip_prefix('.').unwrap_or(path).to_owned(),
                text.to_owned(),
            ))
        };
        Files(
            sections
                .text("files")
                .into_iter()
                .filter_map(split)
                .collect(),
        )
    }

    /// Lines of one file.
    pub(super) fn lines<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == path)
            .map(|(_, line)| line.as_str())
    }

    /// First line of one file.
    pub(super) fn first(&self, path: &str) -> Option<&str> {
        let line = self.0.iter().find(|(name, _)| name == path);
        line.map(|(_, line)| line.trim())
    }

    /// `nameserver` lines of a resolv.conf.
    pub(super) fn nameservers(&self, path: &str) -> Vec<IpAddr> {
        self.lines(path)
            .filter_map(|line| line.trim().strip_prefix("nameserver"))
            .filter_map(|rest| rest.trim().split(['%', ' ']).next()?.parse().ok())
            .collect()
    }

    /// MTU of each interface.
    pub(super) fn mtus(&self) -> BTreeMap<String, u32> {
        let mtu = |(path, value): &(String, String)| {
            let interface = path.strip_prefix("/sys/class/net/")?.strip_suffix("/mtu")?;
            Some((interface.to_owned(), value.trim().parse().ok()?))
        };
        self.0.iter().filter_map(mtu).collect()
    }

    /// Every line, with its file.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(path, line)| (path.as_str(), line.as_str()))
    }

    pub(super) fn sysctls(&self) -> BTreeMap<String, String> {
        self.0
            .iter()
            .filter_map(|(path, value)| {
                let key = path.strip_prefix("/proc/sys/")?.replace('/', ".");
                Some((key, value.trim().to_owned()))
            })
            .collect()
    }
}
