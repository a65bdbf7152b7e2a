//! What an operator types and sees, verb by verb, as committed in
//! `tests/transcripts/`. A changed word fails here, and is looked at in the diff
//! that `UPDATE_TRANSCRIPTS=1` makes.

use std::fs;
use std::path::{Path, PathBuf};

use clusterctl::run::phase::PHASES;

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::scenario;

/// Names as they stand in the transcripts, and in the inventory.
const NAMES: [&str; 3] = ["cp1", "worker1", "worker2"];

/// Phases of other verbs than `apply`, and what they say of themselves.
const OTHERS: [(&str, &str); 2] = [
    ("drain", "move pods to other nodes"),
    ("reset", "remove Kubernetes from the hosts"),
];

/// A cluster's life, as it is recorded.
struct Story {
    lab: Lab,
    operator: Operator,
    /// What differs from lab to lab, and what stands for it.
    replaced: Vec<(String, String)>,
    /// Preflight checks that containers fail, here or elsewhere.
    ignored: Vec<String>,
    /// Transcripts that aren't what is committed.
    differ: Vec<String>,
}

#[test]
fn an_operator_sees_what_the_transcripts_show() {
    let components = Components::find();
    if !components.are_standins() {
        // Their images and sizes are in the transcripts.
        eprintln!("skipped: the transcripts are of stand-ins");
        return;
    }
    let lab = Lab::up('y', NAMES.len());
    let operator = Operator::new(&components);
    let mut inventory = lab.inventory(&components);
    inventory["metadata"]["name"] = "demo".into();
    let mut replaced = vec![
        (operator.home().display().to_string(), "~".to_owned()),
        (
            components.dir.display().to_string(),
            "/artifacts".to_owned(),
        ),
        (components.version.clone(), "v1.36.2".to_owned()),
    ];
    // What the operator trusts has to be shown by `hosts trust`.
    inventory["spec"]["ssh"]
        .as_object_mut()
        .unwrap()
        .remove("knownHosts");
    for (index, name) in NAMES.iter().enumerate() {
        let host = &mut inventory["spec"]["hosts"][index];
        let address = host["address"].as_str().unwrap().to_owned();
        // Whether a container forwards is the engine's choice.
        lab.sh(&lab.name(index + 1), "sysctl -qw net.ipv4.ip_forward=0");
        replaced.push((address, format!("10.78.100.1{}", index + 1)));
        replaced.push((lab.name(index + 1), (*name).to_owned()));
        host["name"] = (*name).into();
    }
    let ignored = inventory["spec"]["preflight"]["ignore"].as_array().unwrap();
    let ignored = ignored
        .iter()
        .map(|check| check.as_str().unwrap().to_owned());
    let ignored: Vec<String> = ignored.collect();
    operator.write_inventory(&inventory);
    let mut story = Story {
        lab,
        operator,
        replaced,
        ignored,
        differ: Vec::new(),
    };
    story.a_cluster_comes_up();
    story.it_drifts_and_is_put_right();
    story.hosts_come_and_go();
    story.all_is_taken_down();
    assert!(
        story.differ.is_empty(),
        "{}\nIf that is as it should be: UPDATE_TRANSCRIPTS=1 writes the new ones",
        story.differ.join("\n")
    );
}

impl Story {
    fn a_cluster_comes_up(&mut self) {
        scenario("transcripts", "a cluster comes up");
        self.record("hosts-trust", 0, &["hosts", "trust", "--yes"]);
        self.record("preflight", 0, &["preflight"]);
        self.record("plan", 0, &["plan", "--hosts", "worker1"]);
        self.record("apply", 0, &["apply", "--yes"]);
        self.record("apply-again", 0, &["apply", "--yes"]);
        self.record("status", 0, &["status"]);
        self.record("kubeconfig", 0, &["kubeconfig", "--merge"]);
    }

    fn it_drifts_and_is_put_right(&mut self) {
        scenario("transcripts", "drift is shown and put right");
        self.lab.sh(
            &self.lab.name(2),
            "echo 'maxPods: 42' >>/var/lib/kubelet/config.yaml",
        );
        let plan = ["plan", "--exit-code"];
        self.record("plan-of-drift", 3, &plan);
        self.record("apply-of-drift", 0, &["apply", "--yes"]);
    }

    fn hosts_come_and_go(&mut self) {
        scenario("transcripts", "a host goes and comes back");
        self.record("remove-node", 0, &["remove-node", "worker2", "--yes"]);
        self.record("add-node", 0, &["add-node", "worker2", "--yes"]);
    }

    fn all_is_taken_down(&mut self) {
        scenario("transcripts", "all is taken down");
        self.record("reset", 0, &["reset", "--all", "--yes"]);
    }

    /// Runs a command, and compares what is seen with what is committed.
    #[track_caller]
    fn record(&mut self, name: &str, status: i32, args: &[&str]) {
        let run = self.operator.run_as_seen(args).exits(status);
        let mut seen = format!("$ clusterctl-rs {}\n", args.join(" "));
        seen.push_str(&stable(&run.stdout, self));
        if status != 0 {
            seen.push_str(&format!("$ echo $?\n{status}\n"));
        }
        if std::env::var_os("TRANSCRIPTS_RAW").is_some() {
            eprintln!("{}", run.stdout);
        }
        let path = committed(name);
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            fs::write(path, seen).unwrap();
            return;
        }
        let before = fs::read_to_string(&path).unwrap_or_default();
        if seen != before {
            let diff = text::diff::unified(&before, &seen);
            self.differ.push(format!("{}\n{diff}", path.display()));
        }
    }
}

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(format!("{name}.txt"))
}

/// The same text for every run that says the same. Phases overlap, and hosts
/// work side by side: the lines of a phase are put together, in the order of
/// phases, and the lines of its hosts are sorted.
fn stable(text: &str, story: &Story) -> String {
    let text = story
        .replaced
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let lines: Vec<String> = text
        .lines()
        // What containers lack differs from machine to machine.
        .filter(|line| !story.ignored.iter().any(|check| line.contains(check)))
        .map(stable_line)
        .collect();
    let mut stable = String::new();
    for block in lines.chunk_by(|one, next| place(one).is_some() == place(next).is_some()) {
        let mut block = block.to_vec();
        block.sort_by_cached_key(|line| place(line));
        for line in block {
            stable.push_str(&line);
            stable.push('\n');
        }
    }
    stable
}

/// Where a line such as `[hosts] worker1: 12 changes (1.2s)` belongs among those
/// of a run: its phase, beginning or end or between, and the host if it is one's.
fn place(line: &str) -> Option<(usize, u8, Option<String>)> {
    let (phase, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let all = PHASES
        .iter()
        .map(|info| (info.name, info.title))
        .chain(OTHERS);
    let order = all.clone().position(|(name, _)| name == phase)?;
    let title = all.clone().any(|(_, title)| title == rest);
    let host = rest
        .split_once(": ")
        .filter(|(host, _)| NAMES.contains(host));
    Some(match host {
        Some((host, _)) => (order, 1, Some(host.to_owned())),
        None if title => (order, 0, None),
        None if rest.starts_with("done in ") => (order, 3, None),
        None => (order, 2, None),
    })
}

/// A line without times, sizes that vary, keys and hashes.
fn stable_line(line: &str) -> String {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || ".:+/_=-".contains(c);
    let mut stable = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let inside = part_of_word(first);
        let end = rest.find(|c| part_of_word(c) != inside);
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        stable.push_str(&stable_word(word));
        rest = after;
    }
    [" days", " KiB", " MiB"]
        .iter()
        .fold(stable, |line, unit| without_number(&line, unit))
}

/// A line in which a varying number of such a unit is `N`.
fn without_number(line: &str, unit: &str) -> String {
    let Some((before, after)) = line.split_once(unit) else {
        return line.to_owned();
    };
    let kept = before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    // A cell keeps its width.
    let gone = match after.starts_with("  ") {
        true => before.len() - kept.len() - 1,
        false => 0,
    };
    format!("{kept}N{unit}{}{after}", " ".repeat(gone))
}

fn stable_word(word: &str) -> String {
    if let Some(fingerprint) = word.strip_prefix("SHA256:") {
        return format!("SHA256:{}", "x".repeat(fingerprint.len()));
    }
    if word.len() == 8 && word.parse::<jiff::civil::Time>().is_ok() {
        return "12:00:00".into();
    }
    if is_date(word) {
        return "2027-01-01".into();
    }
    if is_time(word) {
        return "1.0s".into();
    }
    if word.len() >= 12 && word.chars().all(|c| c.is_ascii_hexdigit()) {
        return "f".repeat(word.len());
    }
    word.to_owned()
}

/// Whether it is a time as `report::human` writes it: `1.2s`, `2m05s`.
fn is_time(word: &str) -> bool {
    let Some(number) = word.strip_suffix('s') else {
        return false;
    };
    let two = number.split_once('.').or_else(|| number.split_once('m'));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    two.is_some_and(|(one, other)| digits(one) && digits(other))
}

/// Whether it is a date such as `2027-01-01`.
fn is_date(word: &str) -> bool {
    word.parse::<jiff::civil::Date>().is_ok() && word.len() == 10
}
