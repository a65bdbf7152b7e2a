//! The container runtime.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::facts::Runtime;
use crate::host::packages::package_manager_names;
use crate::inventory::{ArtifactSource, Cluster, ContainerRuntime, ImagePullPolicy};

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["CRI", "ContainerRuntimeVersion"],
    run: check_runtime,
};

fn check_runtime(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let gathered = subject.gathered;
    let socket = &subject.host.cri_socket;
    let managed = cluster.manages_containerd(subject.host);
    let runtime = subject.host.runtime();
    let fault = match gathered.runtime {
        Runtime::Ready => None,
        Runtime::Absent => Some(format!("there is no container runtime at {socket}")),
        Runtime::Silent => Some(format!("the container runtime at {socket} doesn't answer")),
        Runtime::NoCri => Some(format!(
            "the container runtime at {socket} doesn't serve the CRI"
        )),
    };
    let installed = gathered.commands.contains("containerd");
    match fault {
        None => report.pass("CRI"),
        Some(fault) if !managed => report.error("CRI", fault, remedy_for_absent(runtime)),
        Some(_) if installed => report.info("CRI", "containerd will be configured and started"),
        Some(_) if gathered.facts.package_manager.is_empty() => report.error(
            "CRI",
            format!(
                "there is no containerd, and no supported package manager ({})",
                package_manager_names()
            ),
            "install containerd",
        ),
        Some(_) if gathered.read_only_usr => report.error(
            "CRI",
            "there is no containerd, and /usr is read-only, so that it can't be installed",
            "install containerd as this system does it (transactional-update, rpm-ostree, a system \
             extension) and boot into the result",
        ),
        Some(_) => report.info(
            "CRI",
            format!(
                "containerd will be installed by {}",
                gathered.facts.package_manager
            ),
        ),
    }
    if runtime != ContainerRuntime::Containerd {
        check_images(cluster, subject, report);
        return;
    }
    match &gathered.facts.containerd_version {
        Some(version) if version.starts_with("1.") || version.starts_with("0.") => report.warn(
            "ContainerRuntimeVersion",
            format!("containerd {version} doesn't tell the kubelet its cgroup driver, which v1.38 demands"),
            "plan an upgrade to containerd 2",
        ),
        Some(_) => report.pass("ContainerRuntimeVersion"),
        None => {}
    }
}

/// Images in archives are imported by containerd's own tool, which others lack.
fn check_images(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let what = "only containerd imports images out of archives";
    if subject.host.image_pull_policy == ImagePullPolicy::Never {
        report.error(
            "CRI",
            format!("{what}, and with imagePullPolicy Never the host pulls none"),
            "set imagePullPolicy to IfNotPresent, or use containerd",
        );
    } else if cluster.artifacts.source == ArtifactSource::Directory {
        report.warn(
            "CRI",
            format!("{what}: this host pulls every image from its registry"),
            "make sure that it can, or use containerd",
        );
    }
}

fn remedy_for_absent(runtime: ContainerRuntime) -> &'static str {
    match runtime {
        ContainerRuntime::Containerd => {
            "start and configure it, or let clusterctl-rs manage containerd \
                     (runtime.containerd.managed)"
        }
        ContainerRuntime::CriO => {
            "install CRI-O and run `systemctl enable --now crio`, or remove \
                     nodeRegistration.criSocket to use containerd"
        }
        ContainerRuntime::Docker => {
            "install cri-dockerd and start it, or remove nodeRegistration.criSocket to \
                     use containerd"
        }
    }
}
