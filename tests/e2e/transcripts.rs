//! What an operator types and sees, verb by verb, as committed in
//! `tests/transcripts/`. A changed word fails here, and is looked at in the diff
//! that `UPDATE_TRANSCRIPTS=1` makes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::scenario;

/// Names as they stand in the transcripts, and in the inventory.
const NAMES: [&str; 3] = ["cp1", "worker1", "worker2"];

/// A cluster's life, as it is recorded.
struct Story {
    lab: Lab,
    operator: Operator,
    /// What differs from lab to lab, and what stands for it.
    replaced: Vec<(String, String)>,
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
        (operator.dir.display().to_string(), "~/cluster".to_owned()),
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
        replaced.push((address, format!("192.0.2.1{index}")));
        replaced.push((lab.name(index + 1), (*name).to_owned()));
        host["name"] = (*name).into();
    }
    // Longest first: an address may be the beginning of another one.
    replaced.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    operator.write_inventory(&inventory);
    let mut story = Story {
        lab,
        operator,
        replaced,
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
        seen.push_str(&stable(&run.stdout, &self.replaced));
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
            let diff = similar::TextDiff::from_lines(&before, &seen);
            let diff = diff.unified_diff().to_string();
            self.differ.push(format!("{}\n{diff}", path.display()));
        }
    }
}

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(format!("{name}.txt"))
}

/// The same text for every run that says the same.
fn stable(text: &str, replaced: &[(String, String)]) -> String {
    let text = replaced
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let lines: Vec<String> = text.lines().map(stable_line).collect();
    let mut stable = String::new();
    // Hosts work side by side, and whoever is done first says so first.
    for run in
        lines.chunk_by(|one, next| of_a_host(one).is_some() && of_a_host(one) == of_a_host(next))
    {
        let mut run = run.to_vec();
        if run.len() > 1 {
            run.sort();
        }
        for line in run {
            stable.push_str(&line);
            stable.push('\n');
        }
    }
    stable
}

/// The phase of a line such as `[hosts] worker1: 12 changes (1.2s)`.
fn of_a_host(line: &str) -> Option<&str> {
    let (phase, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (host, _) = rest.split_once(": ")?;
    NAMES.contains(&host).then_some(phase)
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
    stable
}

fn stable_word(word: &str) -> String {
    if let Some(fingerprint) = word.strip_prefix("SHA256:") {
        return format!("SHA256:{}", "x".repeat(fingerprint.len()));
    }
    if is_time(word) {
        return "1.0s".into();
    }
    if word.len() >= 16 && word.chars().all(|c| c.is_ascii_hexdigit()) {
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
