//! kube-vip, as far as control planes use it: whoever holds a Lease holds an address,
//! and the neighbours are told. ARP, so IPv4 only.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::process::Command;

use crate::client::{Client, Kubeconfig};
use crate::leader::Lease;

/// Where the pod mounts what it shows to the API server.
pub const KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// The variable that tells where the host has [`KUBECONFIG`]: a process of the host sees
/// no mounts.
pub const MOUNTED: &str = "STANDIN_KUBECONFIG";

/// The variable that tells what the name `kubernetes` stands for in the pod.
pub const ALIAS: &str = "STANDIN_KUBERNETES";

/// The variable with the capabilities that the pod asks for: this process has them all.
pub const CAPABILITIES: &str = "STANDIN_CAPABILITIES";

/// How often neighbours are told.
const ARP_RATE: Duration = Duration::from_secs(3);

/// Runs `kube-vip manager` until it is killed, or loses the lease.
pub async fn main(args: &[String]) -> u8 {
    let done = match args {
        [verb] if verb == "manager" => run().await,
        _ => Err(anyhow::anyhow!("unknown command {args:?} for \"kube-vip\"")),
    };
    match done {
        Ok(()) => 0,
        Err(e) => {
            crate::klog!(error, "{e:#}");
            1
        }
    }
}

/// What the environment says.
#[derive(Debug)]
struct Settings {
    address: Ipv4Addr,
    prefix: u8,
    interface: String,
    port: u16,
    node: String,
    namespace: String,
    lease: String,
    duration: i64,
    deadline: Duration,
    pause: Duration,
}

impl Settings {
    fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| given(name).with_context(|| format!("{name} is not set"));
        let seconds = |name: &str, or: u64| match given(name) {
            Some(value) => value.parse().with_context(|| format!("{name}: {value:?}")),
            None => Ok(or),
        };
        let on = |name: &str| given(name).is_some_and(|value| value == "true");
        ensure!(
            on("vip_arp"),
            "prematurely exiting Load-balancer as no modes [ARP/BGP/Wireguard] are enabled"
        );
        ensure!(on("cp_enable"), "no features are enabled");
        ensure!(
            on("vip_leaderelection"),
            "without leader election every control plane would take the address"
        );
        let capabilities = given(CAPABILITIES).unwrap_or_default();
        for needed in ["NET_ADMIN", "NET_RAW"] {
            if !capabilities.split(',').any(|one| one == needed) {
                bail!("could not add ip to device: operation not permitted ({needed})");
            }
        }
        let address = text("address")?;
        let port = text("port")?;
        let prefix = text("vip_subnet")?;
        Ok(Settings {
            address: address
                .parse()
                .with_context(|| format!("only IPv4 is played, not {address:?}"))?,
            prefix: prefix
                .parse()
                .with_context(|| format!("unable to select subnet from {prefix:?}"))?,
            interface: text("vip_interface")?,
            port: port.parse().with_context(|| format!("port {port:?}"))?,
            node: given("vip_nodename").unwrap_or_else(crate::leader::hostname),
            namespace: given("cp_namespace").unwrap_or_else(|| "kube-system".into()),
            lease: given("vip_leasename").unwrap_or_else(|| "plndr-cp-lock".into()),
            duration: seconds("vip_leaseduration", 5)?.cast_signed(),
            deadline: Duration::from_secs(seconds("vip_renewdeadline", 3)?),
            pause: Duration::from_secs(seconds("vip_retryperiod", 1)?),
        })
    }
}

async fn run() -> anyhow::Result<()> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let path = std::env::var(MOUNTED).unwrap_or_else(|_| KUBECONFIG.into());
    let mut config = Kubeconfig::load(&path)?;
    // Not where the kubeconfig leads: that is the address that nobody has yet.
    let alias = std::env::var(ALIAS).unwrap_or_else(|_| "kubernetes".into());
    config.server = format!("https://{alias}:{}", settings.port);
    config.server_name = "kubernetes".into();
    let lease = Lease {
        client: Client::new(&config)?,
        namespace: settings.namespace.clone(),
        name: settings.lease.clone(),
        identity: settings.node.clone(),
        duration: settings.duration,
    };
    // A predecessor may have been killed.
    let _ = settings.address("delete").await;
    let lost = tokio::select! {
        () = crate::terminated() => false,
        held = settings.hold(&lease) => {
            held?;
            true
        }
    };
    let _ = settings.address("delete").await;
    if lost {
        bail!("lost leadership, restarting kube-vip");
    }
    lease.release().await;
    Ok(())
}

impl Settings {
    /// Waits for the lease, and returns when it is lost.
    async fn hold(&self, lease: &Lease) -> anyhow::Result<()> {
        while !lease.acquire().await {
            tokio::time::sleep(self.pause).await;
        }
        self.address("replace").await?;
        crate::klog!(info, "added {} to {}", self.address, self.interface);
        tokio::select! {
            () = lease.keep(self.pause, self.deadline) => Ok(()),
            never = self.announce() => never,
        }
    }

    /// `ip address VERB`. Without a preferred lifetime, nothing that leaves this host
    /// comes from there unless it asks for it.
    async fn address(&self, verb: &str) -> anyhow::Result<()> {
        let address = format!("{}/{}", self.address, self.prefix);
        let mut ip = Command::new("ip");
        ip.args(["address", verb, &address, "dev", &self.interface]);
        if verb == "replace" {
            ip.args(["preferred_lft", "0"]);
        }
        let done = ip
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .await?;
        ensure!(
            done.status.success(),
            "could not {verb} ip on device {:?}: {}",
            self.interface,
            String::from_utf8_lossy(&done.stderr).trim()
        );
        Ok(())
    }

    /// Tells the neighbours for ever. An ARP packet of one's own takes a raw socket; the
    /// kernel sends one, with this address as its sender, when it looks for a neighbour
    /// that it doesn't know. Whoever hears it corrects what it knows.
    async fn announce(&self) -> anyhow::Result<()> {
        let socket = UdpSocket::bind((self.address, 0))?;
        let [a, b, c, _] = self.address.octets();
        loop {
            // The lab has nobody up there.
            socket.send_to(&[0], (Ipv4Addr::new(a, b, c, 254), 9))?;
            tokio::time::sleep(ARP_RATE).await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(without: &str, with: &[(&str, &str)]) -> anyhow::Result<Settings> {
        let good = [
            ("vip_arp", "true"),
            ("cp_enable", "true"),
            ("vip_leaderelection", "true"),
            (CAPABILITIES, "NET_ADMIN,NET_RAW"),
            ("address", "10.0.0.9"),
            ("vip_subnet", "32"),
            ("vip_interface", "eth0"),
            ("port", "6443"),
            ("vip_leaseduration", "7"),
        ];
        Settings::read(|name| {
            let mut all = with.iter().chain(&good);
            let found = all.find(|(known, _)| *known == name && *known != without);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused() {
        let settings = read("", &[]).unwrap();
        assert_eq!((settings.duration, settings.pause.as_secs()), (7, 1));
        for missing in [
            "vip_arp",
            "cp_enable",
            "vip_leaderelection",
            CAPABILITIES,
            "address",
            "vip_subnet",
            "vip_interface",
            "port",
        ] {
            assert!(read(missing, &[]).is_err(), "{missing}");
        }
        for (name, value) in [
            ("address", "fd00::9"),
            ("vip_subnet", "auto"),
            ("port", "x"),
        ] {
            assert!(read("", &[(name, value)]).is_err(), "{name}={value}");
        }
    }
}
