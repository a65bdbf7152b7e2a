//! Whether an external etcd answers, and is new enough.

use super::finding::Finding;
use super::report::Report;
use super::subject::Subject;

/// kubeadm's name for it.
const CHECK: &str = "ExternalEtcdVersion";

/// kubeadm's `MinExternalEtcdVersion`, the same from v1.33 to v1.36.
const OLDEST: [u32; 3] = [3, 5, 24];

const REMEDY: &str = "spec.etcd.external says where etcd is (endpoints), whose certificates it \
                      shows (caFile) and as whom the API server comes (certFile, keyFile)";

/// Judges what a control plane was told: `answers` are etcd's URLs, each with its
/// release or why there is none. A server of several may be away; then the others have to do.
pub fn check_external_etcd(
    subject: &Subject<'_>,
    answers: &[(String, Result<String, String>)],
) -> Vec<Finding> {
    let mut report = Report::new(subject.host);
    let none = answers.iter().all(|(_, answer)| answer.is_err());
    for (url, answer) in answers {
        match answer {
            Err(why) if none => report.error(CHECK, format!("{url}: {why}"), REMEDY),
            Err(why) => report.warn(CHECK, format!("{url}: {why}"), REMEDY),
            Ok(release) if is_older(release) => report.error(
                CHECK,
                format!("{url} is etcd {release}"),
                "Kubernetes needs etcd 3.5.24 or later",
            ),
            Ok(_) => {}
        }
    }
    if report.is_empty() {
        report.pass(CHECK);
    }
    report.finish()
}

/// Whether a release is older than [`OLDEST`]. What isn't a release is not.
fn is_older(release: &str) -> bool {
    let core = release.split(['-', '+']).next().unwrap_or_default();
    let parts: Result<Vec<u32>, _> = core.split('.').map(str::parse).collect();
    parts.is_ok_and(|parts| parts.as_slice() < OLDEST.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        for (release, older) in [
            ("3.5.24", false),
            ("3.5.9", true),
            ("3.4.36", true),
            ("3.6.0-rc.1", false),
            ("3.10.0", false),
            ("not a release", false),
        ] {
            assert_eq!(is_older(release), older, "{release}");
        }
    }
}
