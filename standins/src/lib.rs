//! Stand-ins for Kubernetes components: they speak the real protocols closely
//! enough that a wrong certificate, flag, manifest, token or request fails here
//! as it would in reality, and are small enough to be built with the tests.
//! No figure measured on them says anything about Kubernetes.

pub mod api;
pub mod apiserver;
pub mod artifacts;
pub mod client;
pub mod etcd;
pub mod flags;
pub mod haproxy;
pub mod http;
pub mod informer;
pub mod jwt;
pub mod kcm;
pub mod kube_vip;
pub mod kubeadm;
pub mod kubectl;
pub mod kubelet;
pub mod leader;
pub mod log;
pub mod proxy;
pub mod scheduler;
pub mod schema;
pub mod tls;
pub mod version;

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
            "kube-apiserver" => apiserver::main(args).await,
            "kube-controller-manager" => kcm::main(args).await,
            "kube-scheduler" => scheduler::main(args).await,
            "kubelet" => kubelet::main(args).await,
            "kube-proxy" => proxy::kube_proxy(args).await,
            "coredns" => proxy::coredns(args).await,
            "pause" => proxy::pause().await,
            "haproxy" => haproxy::main(args).await,
            "kube-vip" => kube_vip::main(args).await,
            "kubectl" => kubectl::main(args).await,
            "kubeadm" => kubeadm::main(args).await,
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
