//! Whole verbs against container hosts, as an operator runs them: the binary,
//! OpenSSH on the other side, and whatever Kubernetes components
//! `CLUSTERCTL_ARTIFACTS` names. Real components and stand-ins go through the
//! same stories.
//!
//! A lab takes a minute to become a cluster, so each test is a story: scenarios
//! one after the other on one lab.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "e2e/bring_up.rs"]
mod bring_up;
#[path = "e2e/certificates.rs"]
mod certificates;
#[path = "e2e/components.rs"]
mod components;
#[path = "e2e/edits.rs"]
mod edits;
#[path = "e2e/ha.rs"]
mod ha;
#[path = "e2e/kube_vip.rs"]
mod kube_vip;
#[path = "e2e/lab.rs"]
mod lab;
#[path = "e2e/load.rs"]
mod load;
#[path = "e2e/modes.rs"]
mod modes;
#[path = "e2e/nodes.rs"]
mod nodes;
#[path = "e2e/odd_hosts.rs"]
mod odd_hosts;
#[path = "e2e/operator.rs"]
mod operator;
#[path = "e2e/plan.rs"]
mod plan;
#[path = "e2e/reset.rs"]
mod reset;
#[path = "e2e/secrets.rs"]
mod secrets;
#[path = "e2e/settings.rs"]
mod settings;
#[path = "e2e/status.rs"]
mod status;
#[path = "e2e/traces.rs"]
mod traces;
#[path = "e2e/transcripts.rs"]
mod transcripts;
#[path = "e2e/trouble.rs"]
mod trouble;

/// Says which scenario of a story begins, and when.
fn scenario(story: &str, what: &str) {
    let time = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
    eprintln!("{time} {story}: {what}");
}
