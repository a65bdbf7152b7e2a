//! Whether sshd lets connections through, by which the API is reached.

use super::finding::Finding;
use super::report::Report;
use super::subject::Subject;

const CHECK: &str = "TCPForwarding";

/// Judges what a control plane's sshd refused to connect to, of what it was asked to.
/// That nothing listens there yet is no refusal.
pub fn check_forwarding(
    subject: &Subject<'_>,
    asked: usize,
    forbidden: &[(String, u16)],
) -> Vec<Finding> {
    let mut report = Report::new(subject.host);
    if forbidden.is_empty() {
        report.pass(CHECK);
    } else if forbidden.len() == asked {
        report.error(
            CHECK,
            "sshd does not allow TCP forwarding, by which the API server, etcd and the health of \
             the control plane are reached",
            "set `AllowTcpForwarding local` in the host's sshd_config and reload sshd; what also \
             forbids it: `DisableForwarding yes`, `PermitOpen`, and `restrict` or \
             `no-port-forwarding` before the key in authorized_keys",
        );
    } else {
        let targets: Vec<String> = forbidden.iter().map(target).collect();
        report.error(
            CHECK,
            format!("sshd does not allow forwarding to {}", targets.join(", ")),
            &format!(
                "add `{}` to `PermitOpen` in the host's sshd_config (or as `permitopen` of the key \
                 in authorized_keys) and reload sshd",
                targets.join(" ")
            ),
        );
    }
    report.finish()
}

/// As `PermitOpen` has it.
fn target((address, port): &(String, u16)) -> String {
    match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    }
}
