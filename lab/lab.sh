#!/bin/bash
# A lab: disposable machines for a cluster, as containers with systemd, sshd
# and containerd, each with its own address, keys and identity.
#
#   lab.sh up N | NAME...           start hosts 1 to N, or those named; wait for sshd
#   lab.sh down [NAME...]           remove them, or the whole lab with its network
#   lab.sh list                     name, address and state of each host
#   lab.sh exec NAME CMD...         run a command, past sshd
#   lab.sh ssh NAME [CMD...]        log in (as root, or as LAB_USER)
#   lab.sh stop|start|kill NAME...  shut down; boot; cut the power
#   lab.sh limit CPUS NAME...       limit the CPUs of each, such as 0.5
#   lab.sh key                      path of the private key
#   lab.sh known-hosts              known_hosts lines, read past the network
#   lab.sh sweep                    remove everything that LAB_RUN started, in all its labs
#   lab.sh inventory --kubernetes-version V --artifacts DIR [--image-repository R]
#                    [--control-planes N] [--user root|ops]
#
# Environment:
#   LAB_PREFIX  names the lab: its hosts are PREFIX1, PREFIX2, ... (lab)
#   LAB_SUBNET  its /24 (10.77.0.0/24; another prefix gets another 10.77.x.0/24)
#   LAB_STATE   where the key and known_hosts lie (~/.local/state/clusterctl-lab)
#   LAB_DNS     name servers of the hosts (those of this machine)
#   LAB_IMAGE   image to start, instead of the one that image.sh builds
#   LAB_RUN     marks what is started, in whatever lab, so that sweep finds it
#   LAB_SUITE, LAB_CONTAINERD, LAB_MIRROR, LAB_DOCKER: see image.sh
set -euo pipefail
shopt -s inherit_errexit

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
prefix=${LAB_PREFIX:-lab}
network=clusterctl-$prefix
label=rs.clusterctl.lab
run_label=$label.run
state=${LAB_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/clusterctl-lab}
key=$state/id_ed25519
known_hosts=$state/known_hosts.$prefix
boot_timeout=60 # seconds until sshd must answer

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }

run_labels=()
[[ -z ${LAB_RUN:-} ]] || run_labels=(--label "$run_label=$LAB_RUN")

# A prefix becomes host names, so it is one; it ends in a letter, so that no
# lab's hosts can be taken for another's (a1 + 1, a + 11).
[[ $prefix =~ ^[a-z]([a-z0-9-]{0,30}[a-z])?$ ]] ||
  die "LAB_PREFIX: lower-case letters, digits and '-', a letter at both ends: $prefix"

if [[ -n ${LAB_DOCKER:-} ]]; then
  read -ra docker <<<"$LAB_DOCKER"
else
  docker=(docker)
  [[ $(id -u) = 0 || -w /var/run/docker.sock ]] || docker=(sudo docker)
fi
docker() { command "${docker[@]}" "$@"; }

### names and addresses ######################################################

# The subnet of a lab that runs is its network's. Else what LAB_SUBNET says,
# and without it one that follows from the prefix, so that labs side by side
# need not be told.
subnet() {
  local there want=${LAB_SUBNET:-}
  there=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' "$network" 2>/dev/null) || there=
  if [[ -z $want && $prefix = lab ]]; then
    want=10.77.0.0/24
  elif [[ -z $want ]]; then
    want=10.77.$((1 + $(cksum <<<"$prefix" | cut -d' ' -f1) % 254)).0/24
  fi
  [[ $want =~ ^([0-9]{1,3}\.){3}0/24$ ]] || die "LAB_SUBNET must be like 10.77.0.0/24, not $want"
  [[ -z $there || -z ${LAB_SUBNET:-} || $there = "$want" ]] ||
    die "the lab '$prefix' runs in $there, not in LAB_SUBNET=$want"
  echo "${there:-$want}"
}

# name_of lab3 | 3 → lab3
name_of() {
  local number=${1#"$prefix"}
  [[ $number =~ ^[1-9][0-9]{0,2}$ && $number -le 240 ]] ||
    die "invalid host name '$1': names are ${prefix}1 to ${prefix}240"
  echo "$prefix$number"
}

# address_of SUBNET lab3 → 10.77.0.13
address_of() { echo "${1%.*}.$((10 + ${2#"$prefix"}))"; }

# hosts [FILTER...]: names in order of number
hosts() {
  docker ps -a --filter "label=$label=$prefix" "$@" --format '{{.Names}}' | sort -V
}
running() { hosts --filter status=running; }

# names NAME...: checked, and all of them hosts that exist
names() {
  local name all
  all=$(hosts)
  for name in "$@"; do
    name=$(name_of "$name")
    grep -qx "$name" <<<"$all" || die "no such host: $name"
    echo "$name"
  done
}

### up #######################################################################

# One change to a lab at a time; different labs do not wait for each other.
lock() {
  exec 8>"$state/$prefix.lock"
  flock 8
}

ensure_key() {
  [[ ! -s $key ]] || return 0
  local dir
  dir=$(mktemp -d "$state/key.XXXXXX")
  ssh-keygen -q -t ed25519 -N '' -C clusterctl-lab -f "$dir/key"
  # Whoever is first wins: ln, unlike mv, replaces nothing.
  if ln "$dir/key" "$key" 2>/dev/null; then mv "$dir/key.pub" "$key.pub"; fi
  rm -rf "$dir"
}

# Name servers that a pod can ask as well: none on loopback. A machine with
# systemd-resolved has its real ones in another file. With none at all, the
# gateway: nobody answers there, but nobody loops either.
name_servers() {
  local file found
  if [[ -n ${LAB_DNS:-} ]]; then
    echo "$LAB_DNS"
    return
  fi
  for file in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
    [[ -r $file ]] || continue
    found=$(awk '$1 == "nameserver" && $2 !~ /^(127\.|::1$|fe80)/ {print $2}' "$file" | head -n 3)
    [[ -z $found ]] || break
  done
  # shellcheck disable=SC2086  # lines become words
  echo ${found:-${1%.*}.1}
}

# create IMAGE SUBNET DNS NAME
create() {
  local modules=()
  # With the machine's modules at hand, modprobe works as on a machine.
  [[ ! -d /lib/modules ]] || modules=(--volume /lib/modules:/lib/modules:ro)
  [[ ! -e /dev/kmsg ]] || modules+=(--device /dev/kmsg) # a kubelet opens it
  # Not --privileged: that asks for CAP_SYS_RESOURCE, which not every sandbox
  # has. It is dropped everywhere, so that a lab is the same everywhere.
  # /var/lib is a volume, for containerd cannot put an overlay on an overlay.
  # It is one and not three, for a mount point cannot be removed, and a reset
  # has to remove /var/lib/kubelet.
  # ip_forward is inherited from the machine, where the engine has set it: a
  # bare machine's is 0.
  docker run --detach --name "$4" --hostname "$4" --label "$label=$prefix" "${run_labels[@]}" \
    --network "$network" --ip "$(address_of "$2" "$4")" \
    --cap-add ALL --cap-drop SYS_RESOURCE \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --security-opt systempaths=unconfined \
    --device-cgroup-rule 'a *:* rwm' --cgroupns private \
    --tmpfs /run:mode=0755,nosuid,nodev,noexec --tmpfs /tmp:mode=1777,exec \
    --sysctl net.ipv4.ip_forward=0 --volume /var/lib --stop-signal SIGRTMIN+3 \
    --env "LAB_KEY=$(<"$key.pub")" --env "LAB_DNS=$3" \
    "${modules[@]}" "$1" >/dev/null
}

# A host is up when sshd speaks.
await_sshd() {
  local deadline=$((SECONDS + boot_timeout)) banner
  while ((SECONDS < deadline)); do
    banner=
    # In a subshell, which takes its descriptor along when it goes.
    banner=$( (exec 3<>"/dev/tcp/$1/22" && read -r -t 2 -u 3 line && echo "$line") 2>/dev/null) || :
    [[ $banner != SSH-2.0* ]] || return 0
    sleep 0.1
  done
  return 1
}

# each FUNCTION NAME...: at once for all; fails if one fails
each() {
  local function=$1 name pids=() failed=0 pid
  shift
  for name in "$@"; do
    "$function" "$name" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  return $failed
}

up_one() {
  local status
  status=$(docker inspect -f "{{index .Config.Labels \"$label\"}} {{.State.Status}}" "$1" 2>/dev/null) || status=
  case $status in
    '') create "$image" "$subnet" "$dns" "$1" || return 1 ;;
    "$prefix running") ;;
    "$prefix "*) docker start "$1" >/dev/null || return 1 ;;
    *) say "a container $1 exists, but belongs to another lab"; return 1 ;;
  esac
  await_sshd "$(address_of "$subnet" "$1")" ||
    { say "$1: sshd is not responding; see: docker logs $1"; return 1; }
}

# Each systemd, kubelet and containerd takes a handful of inotify instances, and
# all containers share one budget: with the kernel's default of 128 the seventh
# host or so hangs in its boot. A sandbox may not let us raise it.
inotify() {
  local have wanted=8192 knob=/proc/sys/fs/inotify/max_user_instances
  have=$(cat "$knob")
  [[ $have -ge $wanted ]] && return
  { echo "$wanted" >"$knob"; } 2>/dev/null ||
    echo "lab: cannot raise $knob from $have: with many hosts, some may hang at boot" >&2
}

cmd_up() {
  local names=() i name
  if [[ $# = 1 && $1 =~ ^[1-9][0-9]*$ ]]; then
    for ((i = 1; i <= $1; i++)); do names+=("$(name_of $i)"); done
  elif [[ $# -gt 0 ]]; then
    for name in "$@"; do names+=("$(name_of "$name")"); done
  else
    usage >&2
    exit 2
  fi
  image=${LAB_IMAGE:-}
  [[ -n $image ]] || image=$("$here/image.sh")
  lock
  ensure_key
  inotify
  subnet=$(subnet)
  dns=$(name_servers "$subnet")
  docker network inspect "$network" >/dev/null 2>&1 ||
    docker network create --label "$label=$prefix" "${run_labels[@]}" --subnet "$subnet" "$network" >/dev/null ||
    die "cannot have the subnet $subnet: set LAB_SUBNET to another"
  each up_one "${names[@]}"
  write_known_hosts
}

### the other verbs ##########################################################

remove_one() { docker rm --force --volumes "$1" >/dev/null; }

cmd_down() {
  local list
  lock
  if [[ $# -gt 0 ]]; then
    list=$(names "$@")
  else
    list=$(hosts)
  fi
  # shellcheck disable=SC2086  # a list of names
  [[ -z $list ]] || each remove_one $list
  if [[ $# = 0 ]]; then
    rm -f "$known_hosts"
    [[ -z $(docker network ls -q --filter "label=$label=$prefix") ]] ||
      docker network rm "$network" >/dev/null
  fi
}

cmd_sweep() {
  local filter list
  filter=label=$run_label=${LAB_RUN:?names the run whose hosts shall go}
  list=$(docker ps -aq --filter "$filter")
  # shellcheck disable=SC2086  # a list of names
  [[ -z $list ]] || each remove_one $list
  list=$(docker network ls -q --filter "$filter")
  # shellcheck disable=SC2086  # a list of names
  [[ -z $list ]] || docker network rm $list >/dev/null
}

cmd_list() {
  local name status net
  net=$(subnet)
  hosts | while read -r name; do
    status=$(docker inspect -f '{{.State.Status}}' "$name")
    printf '%s\t%s\t%s\n' "$name" "$(address_of "$net" "$name")" "$status"
  done
}

cmd_exec() {
  local name tty=()
  [[ $# -ge 2 ]] || { usage >&2; exit 2; }
  name=$(names "$1")
  [[ ! -t 0 || ! -t 1 ]] || tty=(--tty)
  shift
  docker exec --interactive "${tty[@]}" "$name" "$@"
}

cmd_ssh() {
  local name
  [[ $# -ge 1 ]] || { usage >&2; exit 2; }
  name=$(names "$1")
  shift
  exec ssh -F /dev/null -i "$key" -o IdentitiesOnly=yes -o BatchMode=yes \
    -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$known_hosts" \
    -l "${LAB_USER:-root}" "$(address_of "$(subnet)" "$name")" "$@"
}

# Read through the engine: what the network says could be anybody's.
cmd_known_hosts() {
  local name net keys
  net=$(subnet)
  for name in $(running); do
    keys=$(docker exec "$name" sh -c 'cat /etc/ssh/ssh_host_*_key.pub')
    awk -v host="$(address_of "$net" "$name")" '{print host, $1, $2}' <<<"$keys"
  done
}

write_known_hosts() {
  local new
  new=$(mktemp "$known_hosts.XXXXXX")
  cmd_known_hosts >"$new"
  mv "$new" "$known_hosts"
}

stop_one() { docker stop --time 30 "$1" >/dev/null; }
kill_one() { docker kill "$1" >/dev/null; }
limit_one() { docker update --cpus "$cpus" "$1" >/dev/null; }

# many FUNCTION NAME...
many() {
  local function=$1 list
  shift
  [[ $# -gt 0 ]] || { usage >&2; exit 2; }
  list=$(names "$@")
  # shellcheck disable=SC2086  # a list of names
  each "$function" $list
}

cmd_start() {
  [[ $# -gt 0 ]] || { usage >&2; exit 2; }
  local list
  list=$(names "$@")
  lock
  subnet=$(subnet)
  # shellcheck disable=SC2086  # a list of names
  each up_one $list
  write_known_hosts # a host that was down when the others came up is not in it
}

### inventory ################################################################

# What a container needs that a machine does not. Only what is so on this
# machine: an inventory that ignores too much would hide mistakes.
# containerd speaks plain http only where it is told to.
plain_http_registry() {
  local server=${1#http://} file=$state/$prefix-registry.toml
  server=${server%%/*}
  printf '%s\n' "server = \"http://$server\"" "[host.\"http://$server\"]" \
    '  capabilities = ["pull", "resolve"]' >"$file"
  echo "  files: [{source: $file, destination: '/etc/containerd/certs.d/$server/hosts.toml'}]"
}

# A mirror of registry.k8s.io has CoreDNS in upstream's directory; with a repository of
# one's own, kubeadm looks for it without.
has_coredns_as_upstream() {
  local scheme=https server=${1#*://} path=''
  [[ $1 != http://* ]] || scheme=http
  [[ $server != */* ]] || path=/${server#*/}
  curl -fsS -m 5 -o /dev/null "$scheme://${server%%/*}/v2$path/coredns/coredns/tags/list" 2>/dev/null
}

cmd_inventory() {
  local version='' artifacts='' control_planes=1 user=root repository=''
  while [[ $# -gt 0 ]]; do
    case $1 in
      --kubernetes-version) version=${2:?$1 needs a value} ;;
      --artifacts) artifacts=${2:?$1 needs a value} ;;
      --control-planes) control_planes=${2:?$1 needs a value} ;;
      --image-repository) repository=${2:?$1 needs a value} ;;
      --user) user=${2:?$1 needs a value} ;;
      *) usage >&2; exit 2 ;;
    esac
    shift 2
  done
  [[ -n $version && -n $artifacts ]] || { usage >&2; exit 2; }
  [[ $user = root || $user = ops ]] || die "--user must be root or ops, not $user"
  [[ $control_planes =~ ^[1-9][0-9]*$ ]] || die "--control-planes must be a number, not $control_planes"
  local list first net role name i=0 cgroup swap full ignore=SystemVerification
  list=$(running)
  [[ -n $list ]] || die "no host is running: lab.sh up 3"
  [[ $control_planes -le $(wc -l <<<"$list") ]] || die "there are fewer hosts than $control_planes"
  first=$(head -n 1 <<<"$list")
  net=$(subnet)
  write_known_hosts
  artifacts=$(realpath -m -- "$artifacts")

  cgroup=$(docker exec "$first" stat -fc %T /sys/fs/cgroup)
  [[ $cgroup = cgroup2fs ]] && cgroup=2 || cgroup=1
  swap=$(docker exec "$first" sh -c 'sed 1d /proc/swaps')
  # The disk is the machine's. A kubelet counts what root alone may use as used.
  full=$(docker exec "$first" stat -fc '%a %b' /var/lib | awk '{print ($1 < $2 / 4) ? "yes" : ""}')
  # Checks by kubeadm's names. SystemVerification wants the kernel's
  # configuration, which a container does not have, and cgroup v2.
  [[ -z $swap ]] || ignore+=', Swap'
  [[ $(nproc) -ge 2 ]] || ignore+=', NumCPU'
  docker exec "$first" test -e /proc/sys/net/bridge/bridge-nf-call-iptables ||
    ignore+=', FileContent--proc-sys-net-bridge-bridge-nf-call-iptables'

  cat <<YAML
apiVersion: clusterctl.rs/v1alpha1
kind: Cluster
metadata: {name: $prefix}
spec:
  kubernetesVersion: $version
YAML
  if [[ $control_planes != 1 ]]; then
    echo "  loadBalancer: {type: local${repository:+, image: ${repository#*://}/haproxy:3.2.19-alpine}}"
  fi
  [[ -z $repository ]] || echo "  imageRepository: ${repository#*://}"
  if [[ $repository ]] && has_coredns_as_upstream "$repository"; then
    echo "  dns: {imageRepository: ${repository#*://}/coredns}"
  fi
  [[ $repository != http://* ]] || plain_http_registry "$repository"
  cat <<YAML
  ssh:
    user: $user
    port: 22
    privateKey: $key
    knownHosts: [$known_hosts]
    become: $([[ $user = root ]] && echo false || echo true)
  artifacts: {source: directory, path: $artifacts}
  preflight: {ignore: [$ignore]}
  runtime:
    containerd:
      config:
        plugins:
YAML
  [[ $repository != http://* ]] ||
    echo '          io.containerd.cri.v1.images: {registry: {config_path: /etc/containerd/certs.d}}'
  cat <<YAML
          io.containerd.cri.v1.runtime:
            restrict_oom_score_adj: true  # lowering it is not allowed in here
YAML
  # cgroup v1: systemd in a container cannot make the groups of every
  # hierarchy, so the kubelet and runc do it themselves.
  [[ $cgroup = 2 ]] || cat <<YAML
            containerd: {runtimes: {runc: {options: {SystemdCgroup: false}}}}
YAML
  if [[ $cgroup = 1 || -n $swap || -n $full ]]; then
    echo "  kubelet:"
    echo "    config:"
    [[ $cgroup = 2 ]] || printf '      %s\n' "failCgroupV1: false" "cgroupDriver: cgroupfs"
    [[ -z $swap ]] || echo "      failSwapOn: false"
    [[ -z $full ]] || printf '      %s\n' \
      'imageGCHighThresholdPercent: 100  # the disk is the machine'"'"'s, and nearly full' \
      'evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}'
  fi
  cat <<YAML
  kubeProxy:
    config: {conntrack: {maxPerCore: 0, min: 0}}  # the limit is the machine's
  hosts:
YAML
  for name in $list; do
    ((++i <= control_planes)) && role=control-plane || role=worker
    echo "    - {name: $name, address: $(address_of "$net" "$name"), roles: [$role]}"
  done
}

### dispatch #################################################################

(umask 077 && mkdir -p "$state")
verb=${1:-help}
[[ $# = 0 ]] || shift
case $verb in
  up) cmd_up "$@" ;;
  down) cmd_down "$@" ;;
  list) cmd_list ;;
  exec) cmd_exec "$@" ;;
  ssh) cmd_ssh "$@" ;;
  stop) many stop_one "$@" ;;
  kill) many kill_one "$@" ;;
  start) cmd_start "$@" ;;
  limit) cpus=${1:?limit needs a number of CPUs}; shift; many limit_one "$@" ;;
  key) ensure_key; echo "$key" ;;
  known-hosts) cmd_known_hosts ;;
  sweep) cmd_sweep ;;
  inventory) cmd_inventory "$@" ;;
  help | -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
