//! A plan as people and programs read it.

use serde_json::{Value, json};

use super::plan::{EtcdStep, Plan, Work};
use crate::host::{Action as HostAction, Detail, HostPlan};
use crate::pki::Action;
use crate::report::{colored_diff, count, unified};

impl Plan {
    /// The plan as text: what happens to whom, in order, with diffs of what is
    /// changed and hashes of what is secret.
    pub fn render(&self, color: bool) -> String {
        let mut sections = Vec::new();
        let certs: Vec<String> = self
            .certs
            .iter()
            .filter(|decision| decision.action != Action::Kept)
            .map(|decision| {
                let verb = if decision.action == Action::Created {
                    "create"
                } else {
                    "reissue"
                };
                format!("  {verb} {} ({})", decision.file, decision.why)
            })
            .collect();
        push(&mut sections, "certificates", certs);
        for work in &self.work {
            push(&mut sections, work.name(), host_lines(work, color));
        }
        let mut cluster = self.object_lines(color);
        if self.certificate_key.is_some() {
            cluster.push("  upload the shared certificates, encrypted, for two hours".into());
        }
        push(&mut sections, "cluster", cluster);
        if self.kubeconfig {
            push(
                &mut sections,
                "this machine",
                vec!["  write the admin kubeconfig".into()],
            );
        }
        if sections.is_empty() {
            return "nothing to change".into();
        }
        format!(
            "{}\n\n{} to make",
            sections.join("\n\n"),
            count(self.count(), "change")
        )
    }

    fn object_lines(&self, color: bool) -> Vec<String> {
        let Some(changes) = &self.object_changes else {
            return self
                .objects
                .iter()
                .map(|(_, object)| {
                    let text = |pointer: &str| {
                        object
                            .pointer(pointer)
                            .and_then(Value::as_str)
                            .unwrap_or_default()
                    };
                    let namespace = match text("/metadata/namespace") {
                        "" => String::new(),
                        namespace => format!("{namespace}/"),
                    };
                    format!(
                        "  apply {} {namespace}{}",
                        text("/kind"),
                        text("/metadata/name")
                    )
                })
                .collect();
        };
        let mut lines = Vec::new();
        for (_, change) in changes {
            let verb = if change.created { "create" } else { "update" };
            lines.push(format!("  {verb} {}", change.id));
            if !change.created {
                let diff = unified(&change.before, &change.after);
                lines.push(colored_diff(&diff, "      ", color));
            }
        }
        lines
    }

    /// The plan as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "cluster": self.context.cluster.name,
            "changes": self.count(),
            "certificates": self
                .certs
                .iter()
                .filter(|decision| decision.action != Action::Kept)
                .collect::<Vec<_>>(),
            "hosts": self
                .work
                .iter()
                .map(|work| {
                    json!({
                        "name": work.name(),
                        "changes": work.prepare,
                        "join": work.join,
                        "etcd": work.etcd.map(|step| match step {
                            EtcdStep::Join => "join",
                            EtcdStep::Promote => "promote",
                        }),
                        "registersAgain": work.registers_again,
                        "afterRegistration": work.waits_for_node,
                        "labels": work.labels.is_some(),
                        "taints": work.taints,
                    })
                })
                .collect::<Vec<_>>(),
            "objects": match &self.object_changes {
                Some(changes) => json!(changes
                    .iter()
                    .map(|(phase, change)| {
                        let mut value = json!(change);
                        value["phase"] = phase.name().into();
                        value["diff"] = unified(&change.before, &change.after).into();
                        value
                    })
                    .collect::<Vec<_>>()),
                None => Value::Null,
            },
            "uploadCerts": self.certificate_key.is_some(),
            "kubeconfig": self.kubeconfig,
        })
    }
}

fn push(sections: &mut Vec<String>, title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        sections.push(format!("{title}:\n{}", lines.join("\n")));
    }
}

fn host_lines(work: &Work, color: bool) -> Vec<String> {
    let mut lines = change_lines(&work.prepare, color);
    if let Some(join) = &work.join {
        lines.push("  once the API answers, join:".into());
        lines.extend(
            change_lines(join, color)
                .into_iter()
                .map(|line| format!("  {line}")),
        );
    }
    lines.extend(work.etcd.map(|step| {
        match step {
            EtcdStep::Join => "  add its etcd member as a learner, and promote it",
            EtcdStep::Promote => "  promote its etcd member, a learner so far",
        }
        .to_owned()
    }));
    if work.registers_again {
        lines.push("  restart unit kubelet.service (the API has lost its node)".into());
    }
    if work.waits_for_node {
        lines.push("  once its node has registered: pod network, labels, taints".into());
    }
    if let Some(labels) = &work.labels {
        lines.push("  change labels of its node".into());
        let diff = unified(&labels.before, &labels.after);
        lines.push(colored_diff(&diff, "      ", color));
    }
    lines.extend(
        work.taints
            .iter()
            .map(|taint| format!("  add taint {taint}")),
    );
    lines
}

fn change_lines(plan: &HostPlan, color: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &plan.changes {
        let mut line = format!("  {change}");
        match &change.detail {
            Detail::Text { text } => line.push_str(&format!(" ({text})")),
            Detail::Secret { before, after } => {
                let before = before.as_deref().unwrap_or("none");
                line.push_str(&format!(" (secret, {before} -> {after})"));
            }
            Detail::Diff { unified } if change.action == HostAction::Update => {
                line.push('\n');
                line.push_str(&colored_diff(unified, "      ", color));
            }
            _ => {}
        }
        lines.push(line);
    }
    lines
}
