# Makes this machine as it should be. What follows this text calls these
# functions; the contents of files come over standard input, in order.
#
# A file is received beside its place under another name, readable by root
# alone, checked together with all others, given its owner and mode, flushed,
# and only then renamed. Whatever fails, nothing half-written is ever seen, and
# the temporary files go.

cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
# A temporary file is always a new one, never somebody's symbolic link.
set -C
state=./var/lib/clusterctl
nl='
'
temporary=
current=-

start() {
	current=$1
	printf '@@step start %s\n' "$1"
}

finish() { printf '@@step done %s\n' "$1"; }

# fail WHY [OUTPUT-OF-A-COMMAND]
fail() {
	printf '@@step failed %s %s\n' "$current" "$1"
	if [ -n "${2-}" ]; then printf '%s\n' "$2" >&2; fi
	exit 1
}

cleanup() {
	status=$?
	trap - EXIT HUP INT PIPE TERM
	over
	if [ -n "$temporary" ]; then
		printf '%s' "$temporary" | tr '\n' '\0' | xargs -0 rm -f --
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# attempt WHY COMMAND...: its output is shown only if it fails.
attempt() {
	why=$1
	shift
	output=$("$@" 2>&1 </dev/null) || fail "$why" "$output"
}

# flush PATH...: onto the disk. Before coreutils 8.24, sync takes no paths.
flush() { sync -- "$@" 2>/dev/null || sync; }

# begin: once whatever an earlier run left at work here has ended.
begin() {
	alone 120 || fail 'another run of clusterctl-rs is still at work on this host'
	echo '@@clusterctl converge 1'
}

# owe NAME...: which units and static pods have to be restarted for what follows, so that a run
# that is cut off leaves it to the next one.
owe() {
	attempt "can't make $state" mkdir -p -- "$state"
	printf '%s\n' "$@" >|"$state/owed.new" || fail "can't write $state/owed"
	flush "$state/owed.new"
	attempt "can't write $state/owed" mv -f -- "$state/owed.new" "$state/owed"
}

# paid NAME
paid() {
	if [ ! -e "$state/owed" ]; then return; fi
	grep -vxFe "$1" -- "$state/owed" >|"$state/owed.new"
	if [ -s "$state/owed.new" ]; then
		attempt "can't write $state/owed" mv -f -- "$state/owed.new" "$state/owed"
	else
		rm -f -- "$state/owed" "$state/owed.new"
	fi
}

# Files

# take BYTES: not one more of standard input (busybox's head reads ahead).
take() { dd bs=64K iflag=fullblock,count_bytes count="$1" status=none; }

# temp PATH: where its new content waits.
temp() { new=${1%/*}/.${1##*/}.clusterctl-new; }

# receive STEP BYTES PATH
receive() {
	start "$1"
	temp "$3"
	rm -f -- "$new"
	temporary=$temporary$new$nl
	take "$2" >"$new" || fail "can't write $new"
}

# verify, with lines of `sha256  path` on file descriptor 3
verify() {
	wanted=$(cat <&3)
	output=$(printf '%s\n' "$wanted" | cut -c 67- | tr '\n' '\0' | sums 8)
	output=$(printf '%s\n' "$wanted" | grep -vxFe "$output") || return 0
	fail "what arrived is not what was sent" "$output"
}

# owner OWNER PATH... and mode MODE PATH...
owner() {
	who=$1
	shift
	attempt "can't give files to $who" chown -- "$who" "$@"
}

mode() {
	bits=$1
	shift
	attempt "can't set mode $bits" chmod -- "$bits" "$@"
}

# keep PATH: what stands there is not ours, so reset will want it back.
keep() {
	if [ ! -e "$1" ] && [ ! -L "$1" ]; then return; fi
	copy=$state/originals/${1#./}
	if [ -e "$copy" ] || [ -L "$copy" ]; then return; fi
	rm -f -- "$copy.part"
	attempt "can't keep the original of $1" mkdir -p -- "${copy%/*}"
	attempt "can't keep the original of $1" cp -Pp -- "$1" "$copy.part"
	flush "$copy.part"
	attempt "can't keep the original of $1" mv -f -- "$copy.part" "$copy"
}

# place STEP keep|ours PATH
place() {
	current=$1
	temp "$3"
	if [ -d "$3" ]; then fail "$3 is a directory"; fi
	if [ "$2" = keep ]; then keep "$3"; fi
	attempt "can't put $3 in its place" mv -f -- "$new" "$3"
	finish "$1"
}

# seed STEP PATH: as place, but whatever stands there stays.
seed() {
	current=$1
	temp "$2"
	ln -- "$new" "$2" 2>/dev/null
	if [ ! -e "$2" ] && [ ! -L "$2" ]; then fail "can't put $2 in its place"; fi
	rm -f -- "$new"
	finish "$1"
}

# settle PATH...: the directories that were changed, onto the disk.
settle() {
	flush "$@"
	temporary=
}

# relabel PATH...: with SELinux, a new file gets the label of its path.
relabel() {
	if [ -e ./sys/fs/selinux/enforce ] && command -v restorecon >/dev/null 2>&1; then
		restorecon -F -- "$@" 2>/dev/null
	fi
	return 0
}

# link STEP TARGET PATH: whatever stands there stays.
link() {
	start "$1"
	if [ ! -e "$3" ] && [ ! -L "$3" ]; then
		attempt "can't make the link $3" ln -s -- "$2" "$3"
	fi
	finish "$1"
}

# attributes STEP keep|ours OWNER MODE PATH
attributes() {
	start "$1"
	if [ "$2" = keep ]; then keep "$5"; fi
	owner "$3" "$5"
	mode "$4" "$5"
	finish "$1"
}

# remove STEP keep|ours PATH
remove() {
	start "$1"
	if [ -d "$3" ] && [ ! -L "$3" ]; then
		attempt "can't remove $3" rmdir -- "$3"
	else
		if [ "$2" = keep ]; then keep "$3"; fi
		attempt "can't remove $3" rm -f -- "$3"
	fi
	finish "$1"
}

# directory STEP MODE PATH [OWNER]
directory() {
	start "$1"
	attempt "can't make $3" mkdir -p -- "$3"
	if [ -n "${4-}" ]; then owner "$4" "$3"; fi
	mode "$2" "$3"
	finish "$1"
}

# receipt BYTES SHA256: before anything else is touched, so that reset finds
# all that we may have begun.
receipt() {
	attempt "can't make $state" mkdir -p -- "$state"
	mode 0700 "$state"
	receive receipt "$1" "$state/receipt.json"
	verify 3<<EOF
$2  $new
EOF
	flush "$new"
	attempt "can't write the receipt" mv -f -- "$new" "$state/receipt.json"
	settle "$state"
	finish receipt
}

# stamp SHA256 PATH: how a big file looks, so that it need not be hashed again.
stamp() { stat -L -c "%s %i %Y %Z %n	$1" -- "$2"; }

# stamps: from now on, what stamp printed counts.
stamps() {
	attempt "can't write $state/stamps" mv -f -- "$state/stamps.new" "$state/stamps"
}

# The system

# packages NAME...
packages() {
	tries=0
	until output=$(install_packages "$@" 2>&1 </dev/null); do
		tries=$((tries + 1))
		# Somebody else installs something: wait, up to five minutes.
		case $output in
		*'get lock'* | *'frontend lock'* | *'is locked'* | *'holding the'*lock*) if [ $tries -lt 60 ]; then sleep 5 && continue; fi ;;
		esac
		fail "can't install $*" "$(printf '%s\n' "$output" | tail -n 40)"
	done
}

install_packages() {
	if command -v apt-get >/dev/null 2>&1; then
		export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
		apt "$@" || { apt_get update && apt "$@"; }
	elif command -v dnf >/dev/null 2>&1; then
		dnf -y --setopt=install_weak_deps=False install "$@"
	elif command -v yum >/dev/null 2>&1; then
		yum -y install "$@"
	elif command -v zypper >/dev/null 2>&1; then
		zypper --non-interactive install --no-recommends "$@"
	else
		echo 'no apt-get, dnf, yum or zypper'
		return 1
	fi
}

apt_get() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

apt() {
	apt_get --no-install-recommends -o Dpkg::Options::=--force-confdef \
		-o Dpkg::Options::=--force-confold install "$@"
}

# module STEP NAME EFFECT: what counts is the effect, for the feature may be
# built in.
module() {
	start "$1"
	output=$(modprobe -- "$2" 2>&1)
	if [ ! -e "$3" ] && ! grep -qsw -e "$2" ./proc/filesystems; then
		fail "the kernel has no $2" "$output"
	fi
	finish "$1"
}

# sysctl_set STEP VALUE PATH
sysctl_set() {
	start "$1"
	if [ ! -e "$3" ]; then fail "the kernel has no ${3#./proc/sys/}"; fi
	output=$({ printf '%s\n' "$2" >|"$3"; } 2>&1) || fail "the kernel refused $3 = $2" "$output"
	finish "$1"
}

swap_off() { attempt "can't switch off swap on $1" swapoff -- "$1"; }

# Swap stays off after a reboot: its lines in fstab become comments.
swap_fstab() {
	temp ./etc/fstab
	rm -f -- "$new"
	temporary=$temporary$new$nl
	keep ./etc/fstab
	attempt "can't change /etc/fstab" cp -p -- ./etc/fstab "$new"
	sed -E 's/^([^#]+[[:space:]]swap[[:space:]])/#\1/' ./etc/fstab >|"$new" ||
		fail "can't change /etc/fstab"
	flush "$new"
	attempt "can't change /etc/fstab" mv -f -- "$new" ./etc/fstab
	settle ./etc
}

# unit STEP VERB NAME
unit() {
	start "$1"
	# What is for the next boot needs no reload, which takes systemd a while.
	case $2 in
	enable | disable) reload=--no-reload ;;
	*) reload= ;;
	esac
	if ! output=$(systemctl -q "$2" $reload -- "$3" 2>&1 </dev/null); then
		log=$(journalctl -u "$3" -n 20 --no-pager -o cat 2>/dev/null)
		fail "systemctl $2 $3 failed" "$output$nl$log"
	fi
	if [ "$2" = restart ]; then paid "$3"; fi
	finish "$1"
}

# mask VERB NAME: mask or unmask a unit.
mask() { attempt "can't $1 $2" systemctl -q "$1" -- "$2"; }

daemon_reload() {
	start "$1"
	attempt "systemd can't read its units" systemctl daemon-reload
	finish "$1"
}

# Static pods

# pids_of NAME: the processes of a static pod's container. A program of that
# name outside of pods is somebody else's.
pids_of() {
	grep -Hnazx -e "$1" -e ".*/$1" ./proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' |
		sed -n 's#^\./proc/\([0-9]*\)/cmdline:1:.*#\1#p' |
		while read -r pid; do
			if grep -qs -e kubepods -e kubelet "./proc/$pid/cgroup"; then printf '%s ' "$pid"; fi
		done
}

# static_pod_runs STEP NAME: which processes it is before anything changes.
static_pod_runs() { eval "pod_$1=\$(pids_of \"\$2\")"; }

kubelet_restarted=

# static_pod_changed STEP NAME: the kubelet takes the old one down. Until that is
# done, its answers say nothing about the new one.
static_pod_changed() {
	start "$1"
	eval "set -- \"\$1\" \"\$2\" \$pod_$1"
	step=$1
	name=$2
	shift 2
	tries=0
	for pid in "$@"; do
		while kill -0 "$pid" 2>/dev/null; do
			tries=$((tries + 1))
			if [ $tries -ge 600 ]; then
				fail "static pod $name still runs as it was" "$(journalctl -u kubelet.service -n 20 --no-pager -o cat 2>/dev/null)"
			fi
			sleep 0.2 2>/dev/null || sleep 1
		done
	done
	# One that did not run has failed over and over. The kubelet starts no other in
	# its place while it holds back that one, and may do so for good.
	if [ $# -eq 0 ] && [ -z "$kubelet_restarted" ]; then
		attempt "can't restart the kubelet" systemctl -q restart -- kubelet.service
		kubelet_restarted=yes
	fi
	finish "$step"
}

# static_pod_restart STEP NAME: its manifest is as it was, so it is ended here, and
# the kubelet starts it again.
static_pod_restart() {
	eval "for pid in \$pod_$1; do kill -TERM \"\$pid\" 2>/dev/null; done"
	static_pod_changed "$@"
	paid "$name"
}

# Images

containerd_answers=

await_containerd() {
	if [ -n "$containerd_answers" ]; then return; fi
	tries=0
	until output=$(timeout 5 ctr version 2>&1 </dev/null); do
		tries=$((tries + 1))
		if [ $tries -ge 60 ]; then fail "containerd doesn't answer" "$output"; fi
		sleep 0.5 2>/dev/null || sleep 1
	done
	containerd_answers=yes
}

# image STEP BYTES SHA256 REFERENCE...
# No registry may hold what came as an archive, so the kubelet must not collect
# it as garbage: it keeps what is pinned. A containerd before 1.7 ignores that.
image() {
	current=$1
	await_containerd
	archive=./var/lib/containerd/archive
	if [ ! -d ./var/lib/containerd ]; then archive=$state/archive; fi
	receive "$1" "$2" "$archive"
	verify 3<<EOF
$3  $new
EOF
	attempt "containerd refused the archive" ctr -n k8s.io images import "$new"
	rm -f -- "$new"
	step=$1
	shift 3
	for reference in "$@"; do
		ctr -n k8s.io images label "$reference" io.cri-containerd.pinned=pinned >/dev/null 2>&1 || :
	done
	finish "$step"
}

# pull_begin STEP REFERENCE, pull_end STEP REFERENCE: all begin before the
# first is waited for.
pull_begin() {
	start "$1"
	await_containerd
	log=$state/pull-$1.clusterctl-new
	rm -f -- "$log"
	temporary=$temporary$log$nl
	pull "$2" >"$log" 2>&1 </dev/null &
	eval "pull_$1=$!"
}

pull() {
	for pause in 1 3 10 0; do
		if command -v crictl >/dev/null 2>&1; then
			crictl --runtime-endpoint unix:///run/containerd/containerd.sock pull "$1"
		elif [ -d ./etc/containerd/certs.d ]; then
			ctr -n k8s.io images pull --hosts-dir ./etc/containerd/certs.d "$1"
		else
			ctr -n k8s.io images pull "$1"
		fi && return
		sleep $pause
	done
	return 1
}

pull_end() {
	current=$1
	eval "wait \$pull_$1" || fail "can't pull $2" "$(tail -n 5 "$state/pull-$1.clusterctl-new")"
	finish "$1"
}
