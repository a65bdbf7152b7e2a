//! Plans as text.

use pki::Action;
use text::count;
use text::diff::colored;

use super::escaped::escaped;
use crate::host::{Action as HostAction, Detail};
use crate::plan::document::{
    ObjectAction, PlanDocument, PlannedChange, PlannedHost, PlannedObject,
};
use crate::plan::model::EtcdStep;

impl PlanDocument {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes == 0
    }

    /// Renders the plan as text: what happens where, in order, with diffs of changes and
    /// hashes of secrets.
    pub fn render(&self, color: bool) -> String {
        match escaped(self) {
            Ok(shown) => shown.render_escaped(color),
            Err(error) => format!("cannot show the plan: {error}"),
        }
    }

    fn render_escaped(&self, color: bool) -> String {
        let mut sections = Vec::new();
        let certificates = self.certificates.iter().map(|decision| {
            let verb = match decision.action {
                Action::Reissued => "reissue",
                Action::Created | Action::Kept => "create",
            };
            format!("  {verb} {} ({})", decision.file, decision.why)
        });
        push(&mut sections, "certificates", certificates.collect());
        for host in &self.hosts {
            push(&mut sections, &host.name, host_lines(host, color));
        }
        let title = match self.api_answers {
            true => "cluster",
            false => "cluster, once its API server is up",
        };
        push(&mut sections, title, self.cluster_lines(color));
        if self.kubeconfig {
            let line = "  write the admin kubeconfig".to_owned();
            push(&mut sections, "this machine", vec![line]);
        }
        let restarts = self.hosts.iter().filter_map(|host| {
            let restarts: Vec<String> = host.restarts().collect();
            (!restarts.is_empty()).then(|| format!("  {}: {}", host.name, restarts.join(", ")))
        });
        push(&mut sections, "restarts", restarts.collect());
        let aside = &self.set_aside;
        let aside = aside.iter().map(|one| {
            // SSH errors begin with the host.
            let named = format!("{}: ", one.host);
            let why = one.why.strip_prefix(&named).unwrap_or(&one.why);
            format!("  {named}{why}")
        });
        push(&mut sections, "set aside", aside.collect());
        if self.is_empty() {
            sections.push("nothing to change".into());
            return sections.join("\n\n");
        }
        let order = self.order.iter().enumerate().map(|(at, stage)| {
            let whom = match stage.hosts.len() {
                0 => String::new(),
                _ => format!("{}, ", stage.hosts.join(", ")),
            };
            format!("  {}. {}: {whom}{}", at + 1, stage.phase, stage.how)
        });
        push(&mut sections, "order", order.collect());
        let changes = count(self.changes, "change");
        format!("{}\n\n{changes} to make", sections.join("\n\n"))
    }

    fn cluster_lines(&self, color: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for object in &self.objects {
            lines.extend(object_lines(object, color));
        }
        if self.options.upload_certs {
            lines.push("  upload the shared certificates, encrypted, for two hours".into());
        }
        if self.join_token {
            lines.push(
                "  create a bootstrap token for this run, which expires within 10 minutes of its end"
                    .into(),
            );
        }
        lines
    }
}

fn push(sections: &mut Vec<String>, title: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        sections.push(format!("{title}:\n{}", lines.join("\n")));
    }
}

fn host_lines(host: &PlannedHost, color: bool) -> Vec<String> {
    let mut lines = change_lines(&host.changes, color);
    if let Some(join) = &host.join {
        lines.push("  once the API server is up, join:".into());
        let join = change_lines(join, color).into_iter();
        lines.extend(join.map(|line| format!("  {}", line.replace('\n', "\n  "))));
    }
    lines.extend(host.etcd.map(|step| {
        match step {
            EtcdStep::Join => "  add its etcd member as a learner, and promote it",
            EtcdStep::Replace => {
                "  replace its etcd member, which has lost its data: remove it, add it as a learner, \
                 and promote it"
            }
            EtcdStep::Promote => "  promote its etcd member from learner to voter",
        }
        .to_owned()
    }));
    if host.registers_again {
        lines.push("  restart unit kubelet.service (its Node is gone)".into());
    }
    if host.after_registration {
        lines.push("  once its node has registered: pod network, labels, taints".into());
    }
    if let Some(labels) = &host.labels {
        lines.push("  change its node's labels".into());
        let diff = labels.diff.as_deref().unwrap_or_default();
        lines.push(colored(diff, "      ", color));
    }
    let taints = host.taints.iter();
    lines.extend(taints.map(|taint| format!("  add taint {taint}")));
    let taints = host.removed_taints.iter();
    lines.extend(taints.map(|taint| format!("  remove taint {taint}")));
    lines
}

fn object_lines(object: &PlannedObject, color: bool) -> Vec<String> {
    let mut line = format!("  {} {}", object.action.word(), object.title());
    let compared = [ObjectAction::Create, ObjectAction::Update].contains(&object.action);
    if object.kind == "Secret" && compared {
        let before = object.before.as_deref().unwrap_or("none");
        line.push_str(&format!(" (secret, {before} -> {})", object.after));
    }
    let diff = object.diff.as_deref();
    let diff = diff.map(|diff| colored(diff, "      ", color));
    std::iter::once(line).chain(diff).collect()
}

fn change_lines(changes: &[PlannedChange], color: bool) -> Vec<String> {
    changes
        .iter()
        .map(|change| change_line(change, color))
        .collect()
}

fn change_line(change: &PlannedChange, color: bool) -> String {
    let line = format!("  {} {} {}", change.action, change.kind, change.name);
    match &change.detail {
        Detail::Secret { before, .. } if change.undecided => {
            let before = before.as_deref().unwrap_or("none");
            format!("{line} (secret, {before} -> generated by apply)")
        }
        _ if change.undecided => format!("{line} (generated by apply)"),
        Detail::Secret { before, after } => {
            let before = before.as_deref().unwrap_or("none");
            format!("{line} (secret, {before} -> {after})")
        }
        Detail::Text { text } => format!("{line} ({text})"),
        Detail::Diff { unified } if change.action == HostAction::Update => {
            format!("{line}\n{}", colored(unified, "      ", color))
        }
        Detail::Diff { .. } | Detail::None => line,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::escaped::hostile;
    use super::*;

    /// A plan with something of every kind.
    const PLAN: &str = r#"{"apiVersion": "clusterctl.rs/v1alpha1", "kind": "Plan", "version": "1",
        "cluster": "demo", "inventory": "/i.yaml", "inputs": [],
        "options": {"phases": [], "hosts": [], "uploadCerts": false}, "changes": 3,
        "certificates": [], "hosts": [{"name": "w1", "registersAgain": false,
            "afterRegistration": false, "taints": ["a=b:NoSchedule"], "changes": [
                {"action": "update", "kind": "file", "name": "/etc/a",
                    "detail": {"type": "diff", "unified": "@@ -1 +1 @@\n-old\n+new\n"}},
                {"action": "update", "kind": "file", "name": "/etc/b",
                    "detail": {"type": "text", "text": "mode 0644 -> 0600"}}]}],
        "apiAnswers": true, "objects": [{"action": "update", "apiVersion": "v1",
            "kind": "ConfigMap", "namespace": "kube-system", "name": "x", "phase": "addons",
            "before": "", "after": "", "diff": "@@ -1 +1 @@\n-old\n+new\n"}],
        "joinToken": false, "kubeconfig": false,
        "order": [{"phase": "hosts", "hosts": ["w1"], "how": "one by one"}],
        "setAside": [{"host": "w2", "why": "unreachable"}]}"#;

    #[test]
    fn no_text_of_others_steers_the_terminal() {
        let plan: PlanDocument = serde_json::from_str(PLAN).unwrap();
        assert!(plan.render(true).contains("\x1b[31m-old"));
        for color in [true, false] {
            let hostile = hostile::with_hostile_texts(&plan);
            hostile::assert_harmless(&hostile.render(color));
        }
    }
}
