//! Stand-ins for Kubernetes components: they speak the real protocols closely
//! enough that a wrong certificate, flag, manifest, token or request fails here
//! as it would in reality, and are small enough to be built with the tests.
//! No figure measured on them says anything about Kubernetes.

mod addons;
mod api;
mod apiserver;
mod artifacts;
mod client;
mod etcd;
mod flags;
mod http;
mod informer;
mod jwt;
mod kcm;
mod kube_vip;
mod kubectl;
mod kubelet;
mod leader;
mod log;
mod scheduler;
mod schema;
mod tls;
mod version;

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

pub use api::{Error, base64, is_condition, items, secret_text, unbase64};
pub use client::{Client, Kubeconfig, MERGE};
pub use kcm::tokens::jws;

/// Runs the component of that name to its end; the exit status of the process.
pub fn run(component: &str, args: &[String]) -> u8 {
    // Errors only if another provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("cannot start: {e}");
            return 1;
        }
    };
    let status = runtime.block_on(async {
        match component {
            "etcd" => etcd::main(args).await,
            "kube-apiserver" => play(component, args, apiserver::run).await,
            "kube-controller-manager" => play(component, args, kcm::run).await,
            "kube-scheduler" => play(component, args, scheduler::run).await,
            "kubelet" => play(component, args, kubelet::run).await,
            "kube-vip" => kube_vip::main(args).await,
            "kubectl" => kubectl::main(args).await,
            "artifacts" => artifacts::main(args),
            other => {
                eprintln!("standin: no component is called {other:?}");
                2
            }
        }
    });
    runtime.shutdown_background();
    status
}

/// A component with Kubernetes' own kind of command line.
async fn play<F>(component: &str, args: &[String], run: impl FnOnce(flags::Flags) -> F) -> u8
where
    F: Future<Output = anyhow::Result<()>>,
{
    let release = version::current();
    if args.iter().any(|a| a == "--version") {
        println!("Kubernetes {release}");
        return 0;
    }
    let flags = match flags::parse(component, release, args) {
        Ok(flags) => flags,
        Err(e) if component == "kubelet" => {
            eprintln!("Error: failed to parse kubelet flag: {e}");
            return 1;
        }
        Err(e) => {
            eprintln!("Error: {e}");
            return 1;
        }
    };
    match run(flags).await {
        Ok(()) => 0,
        Err(e) => {
            klog!(error, "\"command failed\" err=\"{e:#}\"");
            1
        }
    }
}

/// Waits until somebody asks the process to end.
async fn terminated() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
