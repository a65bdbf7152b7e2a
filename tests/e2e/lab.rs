//! Disposable hosts, by way of `lab/lab.sh`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::components::Components;

/// Hosts that are gone when this is dropped, or when this process is gone.
pub(crate) struct Lab {
    prefix: String,
    subnet: String,
    reaper: Option<Child>,
}

impl Lab {
    /// Starts so many hosts. `letter` tells the labs of one test run apart.
    pub(crate) fn up(letter: char, hosts: usize) -> Self {
        let id = std::process::id();
        // Letters only: host names are prefix and number.
        let run: String = (0..3)
            .map(|digit| char::from(b'a' + (id / 26_u32.pow(digit) % 26) as u8))
            .collect();
        let mut lab = Lab {
            prefix: format!("e{letter}{run}"),
            subnet: String::new(),
            reaper: None,
        };
        // Somebody else's lab may have the first subnet that comes to mind.
        for attempt in 0..20_u32 {
            // Three digits, so that tables with addresses have one width.
            let third = 100 + (id + u32::from(letter) + attempt) % 155;
            lab.subnet = format!("10.78.{third}.0/24");
            lab.reaper = Some(lab.reaper());
            let output = lab.command(&["up", &hosts.to_string()]).output().unwrap();
            if output.status.success() {
                return lab;
            }
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("cannot have the subnet"), "lab.sh up: {said}");
            lab.down();
        }
        panic!("no subnet is free in 10.78.0.0/16");
    }

    /// The name of a host, counted from 1.
    pub(crate) fn name(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    /// Runs a verb of `lab.sh`, which must succeed; its standard output.
    pub(crate) fn verb(&self, args: &[&str]) -> String {
        checked(&format!("lab.sh {args:?}"), self.command(args).output())
    }

    /// Runs a script as root on a host, past sshd. It must succeed.
    pub(crate) fn sh(&self, host: &str, script: &str) -> String {
        checked(
            &format!("{host}: {script}"),
            self.exec(host, script).output(),
        )
    }

    /// A script as root on a host, past sshd.
    pub(crate) fn exec(&self, host: &str, script: &str) -> Command {
        let mut command = self.command(&["exec", host, "bash", "-c", script]);
        command.stdin(Stdio::null());
        command
    }

    /// The inventory that the lab writes for its hosts, ready for edits.
    pub(crate) fn inventory(&self, components: &Components) -> Value {
        let yaml = self.verb(&[
            "inventory",
            "--kubernetes-version",
            &components.version,
            "--artifacts",
            components.dir.to_str().unwrap(),
        ]);
        let mut inventory: Value = serde_saphyr::from_str(&yaml).unwrap();
        // The disk is the machine's and may be nearly full: a kubelet that
        // tidies up images, or evicts, is not what is tested.
        let config = &mut inventory["spec"]["kubelet"]["config"];
        config["imageGCHighThresholdPercent"] = 100.into();
        config["imageGCLowThresholdPercent"] = 99.into();
        config["evictionHard"] = json!({"memory.available": "1Mi"});
        inventory
    }

    fn command(&self, args: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/lab.sh");
        let mut command = Command::new(script);
        command
            .args(args)
            .env("LAB_PREFIX", &self.prefix)
            .env("LAB_SUBNET", &self.subnet);
        command
    }

    /// A process that takes the lab down as soon as nobody holds its standard
    /// input any more. So it happens also if this process is killed; a group of
    /// its own keeps a Ctrl-C from it.
    fn reaper(&self) -> Child {
        let down = self.command(&["down"]);
        Command::new("sh")
            .args(["-c", "cat; exec \"$0\" down"])
            .arg(down.get_program())
            .env("LAB_PREFIX", &self.prefix)
            .env("LAB_SUBNET", &self.subnet)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn down(&mut self) {
        if let Some(mut reaper) = self.reaper.take() {
            drop(reaper.stdin.take());
            let _ = reaper.wait();
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.down();
    }
}

/// What a command wrote to standard output; it must have succeeded.
pub(crate) fn checked(what: &str, output: std::io::Result<Output>) -> String {
    let output = output.unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(
        output.status.success(),
        "{what}: {}\n{stdout}{stderr}",
        output.status
    );
    stdout
}
