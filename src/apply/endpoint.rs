//! Checks that the endpoint reaches the control planes, if it is a load balancer's or
//! kube-vip's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::execution::Execution;
use crate::cluster::answer::answer_within;
use crate::cluster::endpoint::{TRY, brings_own_certificate};
use crate::desired::context::Context;
use crate::inventory::{Cluster, Endpoint, LoadBalancer};
use crate::kubernetes::Endpoints;
use crate::run::error::Error;
use crate::run::events::Event;
use crate::run::phase::Phase;
use crate::run::remote::{Remote, Server};

/// Time limit: a load balancer checks its servers every few seconds, and some need three
/// successful checks before they use one.
const PATIENCE: Duration = Duration::from_secs(45);

/// Attempts per control plane without pauses. With random balancing, the chance to miss one
/// of three is then one in a thousand.
const BURST: usize = 8;

/// How long to wait before reporting progress.
const SILENCE: Duration = Duration::from_secs(5);

/// The pause between later attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Checks that the endpoint leads to the control planes, if control planes were changed and it is
/// no control plane's own. Those that never answer are warned of, for a balancer may have its
/// reasons, such as keeping one client with one server.
///
/// # Errors
/// [`Error::Endpoint`], if no control plane answers.
pub(super) async fn check_endpoint(execution: &Execution<'_>) -> Result<(), Error> {
    let plan = execution.plan;
    // Workers go through the endpoint, so it has to lead somewhere by now.
    let mut control_planes = plan.work.iter().filter(|work| work.is_control_plane());
    if control_planes.all(|work| work.prepare.is_empty()) {
        return Ok(());
    }
    let context = &plan.context;
    let Some(endpoint) = checked(&context.cluster, &context.endpoints) else {
        return Ok(());
    };
    let kube_vip = context.cluster.virtual_address().is_some();
    let search = search_control_planes(execution, endpoint, kube_vip).await;
    if !search.reached_any() {
        return Err(Error::Endpoint {
            endpoint: endpoint.to_string(),
            from: plan.first().host.name.clone(),
            reason: search.reason(),
            kube_vip,
        });
    }
    if let Some(warning) = search.warning(endpoint).filter(|_| !kube_vip) {
        execution.run.events().warn(warning);
    }
    Ok(())
}

/// Connects to the endpoint again and again from the first control plane, and looks whose
/// certificate answers: each API server has one of its own. kube-vip's address leads to one of
/// them at a time, so any will do.
async fn search_control_planes(
    execution: &Execution<'_>,
    endpoint: &Endpoint,
    kube_vip: bool,
) -> Search {
    let (first, context) = (execution.plan.first(), &execution.plan.context);
    let mut search = Search::default();
    for host in context.cluster.control_planes() {
        if let Some(leaf) = context.pki.leaf(&host.name, "apiserver") {
            search.expect(&host.name, &leaf.cert);
        }
    }
    // Streams stay open until the end, so that a load balancer that counts connections
    // moves on to the next server.
    let mut open = Vec::new();
    let mut notice = Notice::new(execution, endpoint);
    let mut tries = 0;
    let is_done = |search: &Search| search.is_done() || kube_vip && search.reached_any();
    while !is_done(&search) && notice.began.elapsed() < PATIENCE {
        if tries >= BURST * search.wanted() || kube_vip && tries > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        notice.tell_if_late();
        tries += 1;
        match connect(&first.session, endpoint).await {
            Ok((stream, certificate)) => {
                search.saw(&certificate, || renewed(context, &certificate));
                open.push(stream);
            }
            Err(error) => search.failed(error),
        }
        if open.len() > 4 * BURST {
            open.clear();
        }
    }
    search
}

/// Says what is being waited for, once that has taken a while.
struct Notice<'a> {
    execution: &'a Execution<'a>,
    endpoint: &'a Endpoint,
    began: tokio::time::Instant,
    told: bool,
}

impl<'a> Notice<'a> {
    fn new(execution: &'a Execution<'a>, endpoint: &'a Endpoint) -> Self {
        Notice {
            execution,
            endpoint,
            began: tokio::time::Instant::now(),
            told: false,
        }
    }

    fn tell_if_late(&mut self) {
        if self.told || self.began.elapsed() <= SILENCE {
            return;
        }
        self.told = true;
        let endpoint = self.endpoint;
        self.execution.run.events().emit(Event::HostProgress {
            host: self.execution.plan.first().host.name.clone(),
            phase: Phase::ControlPlane.name(),
            doing: format!("waiting for the API server at {endpoint} (controlPlaneEndpoint)"),
            bytes: None,
        });
    }
}

impl Drop for Notice<'_> {
    fn drop(&mut self) {
        if self.told {
            let host = self.execution.plan.first().host.name.clone();
            self.execution.run.events().emit(Event::HostIdle { host });
        }
    }
}

/// The control plane that this certificate belongs to, if it was renewed on its host.
fn renewed(context: &Context, certificate: &[u8]) -> Option<String> {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(certificate);
    let theirs = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    let pki = &context.pki;
    let is_of = |name: &str| {
        let ours = pki.leaf(name, "apiserver");
        ours.is_some_and(|ours| pki.outlives(&theirs, &ours.cert))
    };
    let mut hosts = context.cluster.control_planes();
    let host = hosts.find(|host| is_of(&host.name))?;
    Some(host.name.clone())
}

/// The endpoint, unless it is a control plane's own address.
fn checked<'a>(cluster: &'a Cluster, endpoints: &Endpoints) -> Option<&'a Endpoint> {
    let endpoint = cluster.control_plane_endpoint.as_ref()?;
    let itself = match endpoints.control_planes.as_slice() {
        [(_, only)] => {
            *only == *endpoint
                || cluster
                    .control_planes()
                    .any(|host| host.address == endpoint.host && endpoint.port == only.port)
        }
        _ => false,
    };
    let external = matches!(
        cluster.load_balancer,
        LoadBalancer::External | LoadBalancer::KubeVip { .. }
    );
    (external && !itself && !brings_own_certificate(cluster)).then_some(endpoint)
}

async fn connect(remote: &Remote, endpoint: &Endpoint) -> Result<Server, String> {
    let attempt = remote.serving_certificate(&endpoint.host, endpoint.port);
    match answer_within(TRY, async { Ok::<_, Error>(attempt.await) }).await {
        Ok(served) => served.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Which control planes have been reached.
#[derive(Debug, Default)]
struct Search {
    /// Control planes by their certificate, DER.
    expected: BTreeMap<Vec<u8>, String>,
    seen: BTreeSet<String>,
    strangers: usize,
    last: Option<String>,
}

impl Search {
    fn expect(&mut self, host: &str, pem: &str) {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        // The store has parsed it before; an invalid one would never match.
        if let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) {
            self.expected.insert(der.to_vec(), host.to_owned());
        }
    }

    /// Records the owner of `certificate`; `renewed` identifies it if it is not one of the
    /// store's.
    fn saw(&mut self, certificate: &[u8], renewed: impl FnOnce() -> Option<String>) {
        match self.expected.get(certificate).cloned().or_else(renewed) {
            Some(host) => {
                self.seen.insert(host);
            }
            None => self.strangers += 1,
        }
    }

    fn failed(&mut self, why: String) {
        self.last = Some(why);
    }

    fn wanted(&self) -> usize {
        self.expected.len()
    }

    fn is_done(&self) -> bool {
        self.seen.len() == self.expected.len()
    }

    fn reached_any(&self) -> bool {
        !self.seen.is_empty() || self.expected.is_empty()
    }

    /// Why no control plane was reached.
    fn reason(&self) -> String {
        match (self.strangers, &self.last) {
            (0, Some(last)) => last.clone(),
            (0, None) => "no response".into(),
            _ => {
                "the server there presents a certificate that no control plane has: it is another \
                  machine, or it terminates TLS instead of passing it through"
                    .into()
            }
        }
    }

    fn warning(&self, endpoint: &Endpoint) -> Option<String> {
        let missing: Vec<&str> = self
            .expected
            .values()
            .filter(|host| !self.seen.contains(*host))
            .map(String::as_str)
            .collect();
        let seconds = PATIENCE.as_secs();
        if !missing.is_empty() {
            return Some(format!(
                "{endpoint} (controlPlaneEndpoint) did not reach {} within {seconds} s: check the \
                 load balancer's list of servers",
                missing.join(", ")
            ));
        }
        (self.strangers > 0).then(|| {
            format!(
                "{endpoint} (controlPlaneEndpoint) also reaches a server that is not a control plane: \
                 check the load balancer's list of servers"
            )
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn search() -> Search {
        let certificates = [(b"1", "cp1"), (b"2", "cp2"), (b"3", "cp3")];
        Search {
            expected: certificates
                .map(|(der, host)| (der.to_vec(), host.to_owned()))
                .into(),
            ..Search::default()
        }
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            host: "k8s.example.com".into(),
            port: 6443,
        }
    }

    #[test]
    fn every_control_plane_has_to_answer() {
        let mut search = search();
        for certificate in [b"1", b"1", b"3"] {
            search.saw(certificate, || None);
        }
        search.failed("refused".into());
        assert!(!search.is_done() && search.reached_any());
        insta::assert_snapshot!(search.warning(&endpoint()).unwrap(), @"k8s.example.com:6443 (controlPlaneEndpoint) did not reach cp2 within 45 s: check the load balancer's list of servers");
        search.saw(b"2", || None);
        assert!(search.is_done());
        assert_eq!(search.warning(&endpoint()), None);
        search.saw(b"4", || None);
        assert!(
            search
                .warning(&endpoint())
                .unwrap()
                .contains("not a control plane")
        );
    }

    #[test]
    fn a_balancer_that_ends_tls_reaches_nobody() {
        let mut search = search();
        search.failed("refused".into());
        assert_eq!(search.reason(), "refused");
        search.saw(b"a certificate of its own", || None);
        assert!(!search.reached_any());
        assert!(search.reason().contains("terminates TLS"));
        search.saw(b"renewed", || Some("cp1".into()));
        assert!(search.reached_any(), "the store's is older");
    }

    fn cluster(spec: &str, control_planes: usize) -> (Cluster, Endpoints) {
        let mut text = format!(
            "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
             kubernetesVersion: v1.36.2\n{spec}  hosts:\n"
        );
        for index in 1..=control_planes {
            text += &format!(
                "    - {{name: cp{index}, address: 192.0.2.1{index}, roles: [control-plane]}}\n"
            );
        }
        let base = std::path::Path::new("/");
        let (cluster, _) = crate::inventory::parse(&text, "inventory.yaml", base).unwrap();
        let endpoints = Endpoints::from_facts(&cluster, |_| None).unwrap();
        (cluster, endpoints)
    }

    #[test]
    fn only_an_endpoint_that_is_no_host_s_own_is_looked_at() {
        let is_checked = |spec: &str, control_planes| {
            let (cluster, endpoints) = cluster(spec, control_planes);
            checked(&cluster, &endpoints).is_some()
        };
        let external = "  controlPlaneEndpoint: k8s.example.com\n";
        assert!(is_checked(external, 1) && is_checked(external, 3));
        assert!(!is_checked("", 1) && !is_checked("", 3));
        assert!(!is_checked("  controlPlaneEndpoint: 192.0.2.11\n", 1));
        assert!(is_checked("  controlPlaneEndpoint: 192.0.2.11:443\n", 1));
        let kube_vip = "  controlPlaneEndpoint: 192.0.2.10\n  loadBalancer: {type: kube-vip}\n";
        assert!(is_checked(kube_vip, 1) && is_checked(kube_vip, 3));
        let local = format!("{external}  loadBalancer: {{type: local}}\n");
        assert!(!is_checked(&local, 3));
        let own =
            format!("{external}  apiServer: {{extraArgs: [{{name: tls-cert-file, value: /a}}]}}\n");
        assert!(!is_checked(&own, 3));
    }
}
