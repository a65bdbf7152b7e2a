//! Packages, whatever state the package manager is in, and whatever becomes of the connection.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clusterctl::host::{Package, Resource, converge, converged};

use crate::converging::lines;
use crate::root::{Root, roots};

fn containerd() -> [Resource; 1] {
    [Resource::Package(Package {
        name: "containerd".into(),
        provides: "containerd-command".into(),
    })]
}

fn command(root: &Root, name: &str, body: &str) {
    let path = format!("bin/{name}");
    root.write(&path, &format!("#!/bin/sh\n{body}\n"));
    fs::set_permissions(root.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
}

/// What `apt-get` does when it can.
const INSTALLS: &str = r#"for name; do :; done
printf '#!/bin/sh\n' >"$CLUSTERCTL_ROOT/bin/$name-command"; chmod +x "$CLUSTERCTL_ROOT/bin/$name-command""#;

/// The words of what ran, without options.
fn verbs(root: &Root) -> Vec<String> {
    let log = root.log();
    let words = |line: &str| {
        let words = line
            .split(' ')
            .filter(|word| !word.starts_with("-") && !word.contains("::"));
        words.collect::<Vec<_>>().join(" ")
    };
    log.lines().map(words).collect()
}

#[test]
fn a_source_that_is_broken_is_a_warning_if_the_packages_can_be_had() {
    for root in roots() {
        let body = format!(
            r#"echo "apt-get $*" >>"$CLUSTERCTL_ROOT/log"
case $* in
*" update") touch "$CLUSTERCTL_ROOT/updated"; echo 'Err:1 http://bad.example stable InRelease'; echo 'E: Some index files failed to download.'; exit 100 ;;
esac
[ -e "$CLUSTERCTL_ROOT/updated" ] || {{ echo 'E: Unable to locate package containerd'; exit 100; }}
{INSTALLS}"#
        );
        command(&root, "apt-get", &body);
        command(&root, "dpkg-query", "exit 1");
        let plan = root.plan(&containerd());
        let output = root.run(&converge(&plan).unwrap());
        converged(&plan, &output).unwrap_or_else(|error| panic!("{}: {error}", root.shell()));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("@@step warned 0 Err:1 http://bad.example"),
            "{}: {said}",
            root.shell()
        );
        let asked = verbs(&root);
        let asked: Vec<&str> = asked
            .iter()
            .map(|line| line.rsplit(' ').next().unwrap())
            .collect();
        assert_eq!(asked, ["containerd", "update", "containerd"]);
    }
}

#[test]
fn without_the_packages_the_error_has_what_the_package_manager_said() {
    for root in roots() {
        command(
            &root,
            "apt-get",
            "echo 'E: Unable to locate package containerd'; exit 100",
        );
        command(&root, "dpkg-query", "exit 1");
        let plan = root.plan(&containerd());
        let output = root.run(&converge(&plan).unwrap());
        let error = converged(&plan, &output).unwrap_err().to_string();
        assert!(error.contains("can't install containerd"), "{error}");
        assert!(error.contains("Unable to locate package"), "{error}");
    }
}

#[test]
fn another_packages_failing_script_does_not_count() {
    for root in roots() {
        let body = format!("{INSTALLS}\necho 'dpkg: error processing package other'; exit 100");
        command(&root, "apt-get", &body);
        command(&root, "dpkg-query", "echo 'install ok installed'");
        let plan = root.plan(&containerd());
        let output = root.run(&converge(&plan).unwrap());
        converged(&plan, &output).unwrap_or_else(|error| panic!("{}: {error}", root.shell()));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("warned 0 dpkg: error processing package other"),
            "{said}"
        );
    }
}

#[test]
fn an_interrupted_dpkg_is_repaired_once_and_shown_in_the_plan() {
    for root in roots() {
        command(
            &root,
            "dpkg",
            r#"echo "dpkg $*" >>"$CLUSTERCTL_ROOT/log"; rm -f "$CLUSTERCTL_ROOT"/var/lib/dpkg/updates/*
sed -i s/half-configured/installed/ "$CLUSTERCTL_ROOT/var/lib/dpkg/status""#,
        );
        root.write("var/lib/dpkg/updates/0007", "Package: x\n");
        root.write(
            "var/lib/dpkg/status",
            "Package: x\nStatus: install ok half-configured\n",
        );
        let plan = root.plan(&containerd());
        assert_eq!(
            lines(&plan),
            ["repair package manager dpkg", "install package containerd"]
        );
        root.converge(&containerd());
        let log = root.log();
        let mut log = log.lines();
        assert_eq!(
            log.next(),
            Some("dpkg --force-confdef --force-confold --configure -a")
        );
        assert!(log.next().unwrap().ends_with(" install containerd"));
        assert_eq!(log.next(), None);
        // Where nothing is to be installed, it is not ours to repair.
        root.write("var/lib/dpkg/updates/0007", "Package: x\n");
        assert!(root.plan(&containerd()).is_empty());
    }
}

#[test]
fn a_package_manager_at_work_was_not_interrupted() {
    for root in roots() {
        root.write("var/lib/dpkg/lock-frontend", "");
        root.write("var/lib/dpkg/status", "Status: install ok unpacked\n");
        assert_eq!(lines(&root.plan(&containerd())).len(), 2);
        let inode = std::os::unix::fs::MetadataExt::ino(
            &fs::metadata(root.path("var/lib/dpkg/lock-frontend")).unwrap(),
        );
        root.write(
            "proc/locks",
            &format!("1: POSIX  ADVISORY  WRITE 4242 08:01:{inode} 0 EOF\n"),
        );
        assert_eq!(
            lines(&root.plan(&containerd())),
            ["install package containerd"]
        );
    }
}

#[test]
fn an_install_outlives_its_connection_and_the_next_run_waits_for_it() {
    for root in roots() {
        let body = format!(
            r#"echo "apt-get begins" >>"$CLUSTERCTL_ROOT/log"
until [ -e "$CLUSTERCTL_ROOT/go" ]; do sleep 0.1; done
{INSTALLS}
echo "apt-get ends" >>"$CLUSTERCTL_ROOT/log""#
        );
        command(&root, "apt-get", &body);
        let plan = root.plan(&containerd());
        let script = converge(&plan).unwrap();
        // As on a host, the script is the leader of a group, all of which ends with the
        // connection.
        let file = root.path("lost.sh");
        fs::write(&file, &script.text).unwrap();
        let bin = root.path("bin");
        let mut child = Command::new("dash")
            .arg(&file)
            .env("CLUSTERCTL_ROOT", root.path(""))
            .env(
                "PATH",
                format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, plan.receipt.to_json().as_bytes()).unwrap();
        let begun = Instant::now();
        while root.read("log").is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never begins");
            std::thread::sleep(Duration::from_millis(20));
        }
        let group = format!("-{}", child.id());
        assert!(
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .status()
                .unwrap()
                .success()
        );
        child.wait().unwrap();
        // The lock of a script that was killed is not in the way.
        let go = root.path("go");
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            fs::write(go, "").unwrap();
        });
        let output = root.run(&converge(&root.plan(&containerd())).unwrap());
        later.join().unwrap();
        assert_eq!(
            output.status,
            0,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(
            root.log(),
            "apt-get begins\napt-get ends\napt-get begins\napt-get ends\n",
            "one after the other"
        );
        assert!(root.plan(&containerd()).is_empty());
    }
}
