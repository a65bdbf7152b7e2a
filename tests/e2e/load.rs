//! Clients that read and write through workers' load balancers, and somebody who
//! looks at each API server, while something else goes on.

use std::fmt;
use std::io::Read;
use std::process::{Child, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::ha::give;
use crate::lab::Lab;
use crate::operator::Operator;

/// Ten times a second a read and a write, each tried once more, half a second later, if
/// it fails. A
/// line for each: `ok`, `mended` or `failed`, and what was said.
const CLIENT: &str = r#"
cd /run/load
url=https://$api:6443/api/v1/namespaces/default/configmaps
curl="curl -sk -m 10 --cert cert --key key -o /dev/null"
try() {
  case $1 in
    read) $curl -w '%{http_code} %{errormsg}' $url/load ;;
    # Each write is an object of its own: clients are not in one another's way.
    write) $curl -w '%{http_code} %{errormsg}' -H 'content-type: application/json' \
      -d '{"metadata":{"generateName":"load-"}}' $url ;;
  esac
}
once() {
  first=$(try $1)
  case $first in 20[01]*) echo "ok"; return ;; esac
  sleep 0.5
  second=$(try $1)
  case $second in
    20[01]*) echo "mended $1: $first" ;;
    *) echo "failed $1: $first; $second" ;;
  esac
}
until [ -e stop ]; do
  once read &
  once write &
  sleep 0.1
done
wait
"#;

/// Who of the API servers answers, over and over: a line for each change, with
/// one digit for each server. What a client does counts: 0 is no connection.
const WATCH: &str = r#"
mkdir -p /run/load/looks
cd /run/load/looks
last=
until [ -e ../stop ]; do
  for address; do
    { curl -sk -m 2 -o /dev/null -w '%{http_code}' https://$address:6443/readyz || true; } \
      >$address &
  done
  wait
  now=
  for address; do
    case $(cat $address) in 200*) now=${now}1 ;; *) now=${now}0 ;; esac
  done
  [ "$now" = "$last" ] || echo $now
  last=$now
  sleep 0.05
done
"#;

/// Until it works: a look whether the API is ready, and a ConfigMap.
const WRITE: &str = r#"
cd /run/load
url=https://$api:6443
curl="curl -sk -m 3 --cert cert --key key -o /dev/null"
for try in {1..100}; do
  ready=$($curl -w '%{http_code}' $url/readyz)
  wrote=$($curl -w '%{http_code}' -H 'content-type: application/json' \
    -d '{"metadata":{"generateName":"written-"}}' $url/api/v1/namespaces/default/configmaps)
  if [ "$ready$wrote" = 200201 ]; then
    date -u +%FT%T.%NZ
    exit 0
  fi
  sleep 0.1
done
echo "readyz: $ready, write: $wrote" >&2
exit 1
"#;

/// The admin's certificate and key.
pub(crate) struct Credentials {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Credentials {
    pub(crate) fn of(operator: &Operator, cluster: &str) -> Self {
        let text = std::fs::read_to_string(operator.state(cluster, "kubeconfig")).unwrap();
        let kubeconfig: Value = serde_saphyr::from_str(&text).unwrap();
        let user = &kubeconfig["users"][0]["user"];
        let of = |field: &str| STANDARD.decode(user[field].as_str().unwrap()).unwrap();
        Credentials {
            cert: of("client-certificate-data"),
            key: of("client-key-data"),
        }
    }

    /// Puts them on a host, for [`Self::write`].
    pub(crate) fn place(&self, lab: &Lab, host: &str) {
        lab.sh(host, "rm -rf /run/load && mkdir -m 700 /run/load");
        for (name, content) in [("cert", &self.cert), ("key", &self.key)] {
            let script = format!("umask 077; cat >/run/load/{name}");
            give(lab, host, &script, content);
        }
    }

    /// Waits until the API answers a worker under an address and takes a ConfigMap, and
    /// says when that was.
    pub(crate) fn write(&self, lab: &Lab, worker: &str, api: &str) -> Child {
        let mut command = lab.exec(worker, &format!("api={api}\n{WRITE}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}

/// Clients at work. They end with their hosts at the latest.
pub(crate) struct Load {
    clients: Vec<(String, Child)>,
    watch: Child,
}

impl Load {
    /// A client of the API at the address `api` on each of `workers`, and on the first
    /// somebody who looks at the API servers at `addresses`.
    pub(crate) fn start(
        lab: &Lab,
        workers: &[String],
        api: &str,
        addresses: &[String],
        credentials: &Credentials,
    ) -> Self {
        let start = |host: &str, script: &str| {
            let mut command = lab.exec(host, script);
            command.stdout(Stdio::piped()).spawn().unwrap()
        };
        let clients = workers
            .iter()
            .map(|worker| {
                credentials.place(lab, worker);
                let client = format!("api={api}\n{CLIENT}");
                (worker.clone(), start(worker, &client))
            })
            .collect();
        let watch = format!("set -- {}{WATCH}", addresses.join(" "));
        Load {
            clients,
            watch: start(&workers[0], &watch),
        }
    }

    /// Ends all of it.
    pub(crate) fn stop(self, lab: &Lab) -> Seen {
        for (worker, _) in &self.clients {
            lab.sh(worker, "touch /run/load/stop");
        }
        let said = |mut child: Child| {
            let mut text = String::new();
            child
                .stdout
                .take()
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert!(child.wait().unwrap().success());
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        Seen {
            watch: said(self.watch),
            requests: self
                .clients
                .into_iter()
                .flat_map(|(_, child)| said(child))
                .collect(),
        }
    }
}

/// What clients and watch have seen.
pub(crate) struct Seen {
    requests: Vec<String>,
    watch: Vec<String>,
}

impl Seen {
    fn of(&self, kind: &str) -> Vec<&String> {
        let requests = self.requests.iter();
        requests.filter(|line| line.starts_with(kind)).collect()
    }

    #[track_caller]
    pub(crate) fn assert_that_one_retry_is_enough(&self) {
        assert!(self.of("ok").len() > 40, "{self}");
        assert!(self.of("failed").is_empty(), "{:#?}", self.of("failed"));
    }

    /// Never were two API servers seen to be down. One may come back unseen: whoever
    /// connects while it starts may be answered late.
    #[track_caller]
    pub(crate) fn assert_that_no_two_were_down(&self) {
        for line in &self.watch {
            let down = line.matches('0').count();
            assert!(down < 2, "{:#?}", self.watch);
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} mended by one retry, {} failed; API servers up: {}",
            self.requests.len(),
            self.of("mended").len(),
            self.of("failed").len(),
            self.watch.join(" ")
        )
    }
}
