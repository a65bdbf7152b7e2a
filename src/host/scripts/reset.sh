# Takes Kubernetes off this machine. What follows this text calls these
# functions.
#
# Every step is bounded in time, can be made again, and goes on after a failure:
# a machine in pieces must not keep the rest from being cleaned. What should be
# gone and isn't is told at the end, and then the receipt stays, so that the
# next run can take it up.

cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
state=./var/lib/clusterctl
clean=yes
nl='
'

doing() { printf '@@doing %s\n' "$1"; }

# left WHAT: stays, because it is not ours.
left() { printf '@@left %s\n' "$1"; }

# stuck WHAT: should be gone.
stuck() {
	clean=no
	printf '@@stuck %s\n' "$1"
}

# limited SECONDS COMMAND...: nothing here may hang for good, or read what is
# meant for the shell.
limited() { timeout -k 5 "$@" </dev/null; }

quietly() { limited "$@" >/dev/null 2>&1; }

has() { command -v "$1" >/dev/null 2>&1; }

there() { [ -e "$1" ] || [ -L "$1" ]; }

# begin: once whatever an apply left at work here has ended.
begin() {
	doing 'wait for other runs to end'
	trap over EXIT
	alone 120 || stuck 'another run of clusterctl-rs is still at work on this host'
}

# Processes

stop_kubelet() {
	doing 'stop the kubelet'
	quietly 60 systemctl stop kubelet.service ||
		quietly 20 systemctl kill -s KILL kubelet.service
	if quietly 20 systemctl is-active -q kubelet.service; then stuck 'the kubelet still runs'; fi
}

# pods SOCKET: all of the CRI's, whoever asked for them, as kubeadm does. The
# runtime is woken if it sleeps: its containers may run without it.
pods() {
	socket=$1
	runtime=containerd
	case $socket in *crio*) runtime=crio ;; esac
	doing 'stop and remove all pods'
	if ! runtime_answers; then
		quietly 90 systemctl start "$runtime.service"
		tries=0
		until runtime_answers || [ $tries -ge 5 ]; do
			tries=$((tries + 1))
			sleep 1
		done
	fi
	if has crictl; then
		for _ in 1 2 3; do
			if [ -z "$(sandboxes)" ]; then break; fi
			quietly 120 crictl -r "unix://$socket" -t 60s rmp -a -f
		done
	fi
	if [ "$runtime" = containerd ] && has ctr; then containers_by_force; fi
	if ! runtime_answers; then kill_pods; fi
	for path in ./run/netns/cni-*; do
		if ! there "$path"; then continue; fi
		quietly 20 umount "$path"
		rm -f -- "$path"
	done
	for path in ./run/containerd/io.containerd.grpc.v1.cri/sandboxes \
		./run/containerd/io.containerd.runtime.v2.task/k8s.io; do
		if [ "$runtime" = containerd ] && [ -n "$forced" ]; then unmount "$path"; fi
	done
	rest=$({
		sandboxes
		containers
	} | wc -l)
	if [ "$rest" -gt 0 ]; then stuck "$((rest)) pods or containers are still there"; fi
	quietly 60 systemctl stop kubepods.slice
	find ./sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null
}

runtime_answers() {
	if [ "$runtime" = containerd ] && has ctr; then
		quietly 5 ctr -a "$socket" version
	else
		quietly 5 crictl -r "unix://$socket" version
	fi
}

sandboxes() {
	if has crictl; then limited 20 crictl -r "unix://$socket" pods -q 2>/dev/null; fi
}

containers() {
	if [ "$runtime" = containerd ] && has ctr; then
		limited 20 ctr -a "$socket" -n k8s.io containers ls -q 2>/dev/null
	fi
}

# Whatever the CRI couldn't remove, or all of it where nothing speaks the CRI.
forced=
containers_by_force() {
	all=$(containers)
	for id in $all; do
		forced=yes
		{
			quietly 20 ctr -a "$socket" -n k8s.io tasks kill -a -s SIGKILL "$id"
			quietly 20 ctr -a "$socket" -n k8s.io tasks rm -f "$id"
			quietly 20 ctr -a "$socket" -n k8s.io containers rm "$id"
		} &
	done
	wait
}

# The last resort, where no runtime answers: whatever lives in the cgroup of
# pods, and the shims that would hold on to it.
kill_pods() {
	forced=yes
	# shellcheck disable=SC2046 # numbers
	set -- $(find ./sys/fs/cgroup -path '*/kubepods*' -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u)
	for path in ./proc/[0-9]*/cmdline; do
		case $(tr '\0' ' ' <"$path" 2>/dev/null) in
		*containerd-shim*' -namespace k8s.io '*)
			path=${path%/cmdline}
			set -- "$@" "${path##*/}"
			;;
		esac
	done
	for process; do kill -KILL "$process" 2>/dev/null; done
}

# unmount DIRECTORY: everything below it, wherever a link may have put it. What
# is busy or hangs is detached.
unmount() {
	if [ -z "$(mounts "$1")" ]; then return 0; fi
	mounts "$1" | while IFS= read -r path; do
		# The kernel writes a space as \040.
		path=$(printf '%b' "$(printf '%s' "$path" | sed 's/\\/\\0/g')")
		quietly 20 umount "$path" || quietly 20 umount -l "$path"
	done
	if [ -n "$(mounts "$1")" ]; then
		stuck "something is still mounted below ${1#.}"
		return 1
	fi
}

# mounts DIRECTORY: those below it, the last one first.
mounts() {
	real=$(cd -P "$1" 2>/dev/null && pwd) || return 0
	found=
	while read -r _ _ _ _ path _; do
		case $path in "$real"/*) found=$path$nl$found ;; esac
	done <./proc/self/mountinfo
	printf '%s' "$found"
}

# The network

# links: those that only networks of pods make.
links() {
	doing 'take away the network of pods'
	for path in ./sys/class/net/cni0/brif/* ./sys/class/net/*; do
		case ${path##*/} in
		veth*) case $path in */brif/*) ;; *) continue ;; esac ;;
		cni0 | flannel.* | flannel-v6.* | vxlan.calico | vxlan-v6.calico | \
			wireguard.cali | wg-v6.cali | cali[0-9a-f]*[0-9a-f] | cilium_* | lxc_health | \
			kube-ipvs0 | kube-bridge | kube-dummy-if | nodelocaldns) ;;
		*) continue ;;
		esac
		if ! there "$path"; then continue; fi
		quietly 20 ip link delete "${path##*/}"
		if there "$path"; then stuck "the network link ${path##*/}"; fi
	done
}

# virtual_address ADDRESS: what kube-vip gave to a link and, stopped as suddenly
# as pods are here, could not take away. It is alone in its network, which no
# address of the machine's own in the same place would be.
virtual_address() {
	if ! has ip; then return; fi
	for found in $(held "$1"); do
		quietly 20 ip address delete "${found#*,}" dev "${found%%,*}"
	done
	for found in $(held "$1"); do stuck "the address ${found#*,} on ${found%%,*}"; done
}

# held ADDRESS: the links that have it, each as LINK,ADDRESS/LENGTH.
held() {
	limited 20 ip -o address show to "$1" 2>/dev/null |
		sed -nE 's/^[0-9]+: +([^ ]+) +inet6? ([^ ]+\/(32|128)) .*/\1,\2/p'
}

# firewall NETWORK: the rules that Kubernetes made, in both kinds of tables, and
# those of the CNI plugins, unless they serve another network than ours, too.
# All of a table goes in one transaction. Nobody else's rule is touched.
firewall() {
	doing 'take away the rules of Kubernetes'
	tables=
	for family in iptables ip6tables; do
		for tool in "$family" "$family-nft" "$family-legacy"; do
			if ! has "$tool-save"; then continue; fi
			tables=yes
			rules "$tool" "$1" | grep -q . || continue
			rules "$tool" "$1" | timeout -k 5 60 "$tool-restore" -w 30 --noflush >/dev/null 2>&1
			if [ -n "$(rules "$tool" "$1")" ]; then stuck "rules of Kubernetes in $tool"; fi
		done
	done
	if ! has nft; then return; fi
	for family in ip ip6; do
		if quietly 20 nft list table "$family" kube-proxy; then
			quietly 20 nft delete table "$family" kube-proxy || stuck "nftables' table $family kube-proxy"
		fi
		if [ -n "$tables" ]; then continue; fi
		for table in nat filter mangle raw; do
			if [ -z "$(nft_rules "$family" "$table")" ]; then continue; fi
			nft_rules "$family" "$table" | timeout -k 5 60 nft -f - >/dev/null 2>&1 ||
				stuck "rules of Kubernetes in nftables' table $family $table"
		done
	done
}

# rules TOOL NETWORK: what its restore has to be told. Chains are emptied, the
# rules that lead to them deleted, and then the chains themselves.
rules() {
	saved=$(limited 30 "$1-save" 2>/dev/null)
	ours='(KUBE|CNI)-'
	if printf '%s\n' "$saved" | grep -E '^-A .*-j CNI-|^-A CNI-' |
		grep -E 'name: \\?"' | grep -qvE "name: \\\\?\"$2\\\\?\""; then ours='KUBE-'; fi
	printf '%s\n' "$saved" | grep -qE "^:$ours" || return 0
	printf '%s\n' "$saved" | sed -nE '
		/^\*/ { p; s/.*//; h; d; }
		/^:'"$ours"'/ { s/ .*/ - [0:0]/p; s/^:([^ ]*) .*/-X \1/; H; d; }
		/^-A '"$ours"'/ d
		/^-A .* -[jg] '"$ours"'/ { s/^-A/-D/p; d; }
		/^COMMIT/ { x; s/^\n//; /./p; s/.*/COMMIT/p; }' |
		# Tables without any are not even named.
		sed '/^\*/ { N; /\nCOMMIT$/d; }'
}

# nft_rules FAMILY TABLE: the same in nft's words, for hosts without iptables,
# where the rules come out of containers that have their own.
nft_rules() {
	chains=
	chain=
	limited 30 nft -a list table "$1" "$2" 2>/dev/null | {
		while read -r first second rest; do
			case $first,$second,$rest in
			chain,KUBE-*)
				chain=
				echo "flush chain $1 $2 $second"
				chains="$chains $second"
				;;
			chain,*) chain=$second ;;
			*' KUBE-'*'# handle '*)
				if [ -n "$chain" ]; then echo "delete rule $1 $2 $chain handle ${rest##* }"; fi
				;;
			esac
		done
		for chain in $chains; do echo "delete chain $1 $2 $chain"; done
	}
}

# Files

# remove PATH...: ours, and where their new content was received.
remove() {
	doing 'remove files'
	for path; do
		rm -f -- "$path" "${path%/*}/.${path##*/}.clusterctl-new" 2>/dev/null
		if there "$path"; then stuck "${path#.}"; fi
	done
}

# bring_back PATH...: whatever was kept goes back to its place, unless somebody
# has put there since what is not among ours.
bring_back() {
	if [ ! -d "$state/originals" ]; then return; fi
	doing 'put back what stood here before'
	ours=$nl$(printf '%s\n' "$@")$nl
	IFS=$nl
	set -f
	# shellcheck disable=SC2044 # a line each, and no newline gets in
	for copy in $(find "$state/originals" ! -type d ! -name '*.part'); do
		path=./${copy#"$state/originals/"}
		case $ours in *"$nl$path$nl"*) ;; *)
			if there "$path" && ! unchanged "$path" "$copy"; then
				left "${path#.} (changed since; what stood there before is lost: $(head -c 200 "$copy" | head -n 1))"
				continue
			fi
			;;
		esac
		put_back "$path" "$copy"
	done
	unset IFS
	set +f
}

# unchanged PATH COPY: whether it is as we left it. We remove what we keep and
# is not among our files, all but fstab, where lines become comments.
unchanged() {
	if [ "$1" != ./etc/fstab ]; then return 1; fi
	[ "$(swapless <"$2")" = "$(cat "$1")" ]
}

swapless() { sed -E 's/^([^#]+[[:space:]]swap[[:space:]])/#\1/'; }

put_back() {
	new=${1%/*}/.${1##*/}.clusterctl-new
	rm -rf -- "$new"
	if [ ! -d "${1%/*}" ]; then mkdir -p -- "${1%/*}"; fi
	if [ -d "$1" ] && [ ! -L "$1" ] || ! cp -Pp -- "$2" "$new" || ! mv -f -- "$new" "$1"; then
		stuck "the original of ${1#.} could not be put back"
		return
	fi 2>/dev/null
	if [ -e ./sys/fs/selinux/enforce ] && has restorecon; then restorecon -F -- "$1" 2>/dev/null; fi
}

# kubelet_state ours|found: what the kubelet keeps. A directory that was here
# before us loses only what a kubelet is known to make.
kubelet_state() {
	doing "remove Kubernetes' own state"
	base=./var/lib/kubelet
	# Removing through a mount would empty somebody's volume.
	unmount $base || return 0
	if [ "$1" = ours ]; then
		set -- $base/* $base/.[!.]*
	else
		set --
		for name in actuated_pods_state allocated_pods_state checkpoints cpu_manager_state \
			device-plugins dra_manager_state graceful_node_shutdown_state image_manager \
			memory_manager_state pki plugins plugins_registry pod-resources pods \
			pod_status_manager_state userns; do
			set -- "$@" "$base/$name"
		done
	fi
	rm -rf -- "$@" 2>/dev/null
	for path; do
		if there "$path"; then stuck "${path#.}"; fi
	done
	rm -rf ./etc/kubernetes/kubelet.conf ./etc/kubernetes/tmp
	base=./usr/libexec/kubernetes
	rmdir $base/kubelet-plugins/volume/exec $base/kubelet-plugins/volume \
		$base/kubelet-plugins $base 2>/dev/null
	# kube-proxy mounts it, and so it is made where the kernel needs none.
	rmdir ./lib/modules 2>/dev/null
}

# etcd_state DIRECTORY: etcd's data is all below member/.
etcd_state() {
	rm -rf -- "$1/member" 2>/dev/null
	if there "$1/member"; then stuck "${1#.}/member"; fi
}

# cni_state NETWORK: addresses given and results remembered.
cni_state() {
	base=./var/lib/cni
	rm -rf -- "$base/networks/$1" $base/results/"$1"-* $base/results/cni-loopback-*
	rmdir $base/networks $base/results $base 2>/dev/null
}

# attributes_back MODE OWNER PATH: of a directory that was here before us.
attributes_back() {
	if [ ! -d "$3" ]; then return; fi
	{ chown -- "$2" "$3" && chmod -- "$1" "$3"; } 2>/dev/null ||
		stuck "${3#.} should have mode $1 and belong to $2"
}

# directories PATH...: ours, the deepest first; one that isn't empty stays.
directories() {
	for path; do rmdir -- "$path" 2>/dev/null; done
}

# The system

# unit_down VERB UNIT: stop, disable or unmask.
unit_down() {
	quietly 120 systemctl "$1" "$2"
	if [ "$1" = stop ] && quietly 20 systemctl is-active -q "$2"; then stuck "$2 still runs"; fi
}

reload_units() {
	doing 'put units back'
	quietly 60 systemctl daemon-reload
	quietly 20 systemctl reset-failed kubelet.service
}

# unit_back VERB UNIT: enable, restart, or start without waiting for it, for
# what it needs may not be back yet.
unit_back() {
	case $1 in
	start) quietly 60 systemctl --no-block start "$2" ;;
	*) quietly 120 systemctl "$1" "$2" || stuck "$2 doesn't $1" ;;
	esac
}

# sysctl_back VALUE PATH
sysctl_back() {
	if [ ! -e "$2" ]; then return; fi
	{ printf '%s\n' "$1" >"$2"; } 2>/dev/null || stuck "the kernel refuses ${2#.} = $1"
}

# modules NAME...: one in use stays, and does no harm.
modules() {
	for module; do quietly 30 modprobe -r "$module"; done
}

# swap_on DEVICE...: by fstab, which may know its options, or by hand.
swap_on() {
	doing 'switch swap on again'
	quietly 60 swapon -a
	for device; do
		if grep -q "^${device}[[:space:]]" ./proc/swaps 2>/dev/null; then continue; fi
		quietly 60 swapon "$device" || left "swap on $device is off: it can't be switched on again"
	done
}

# images SOCKET REFERENCE...: and the names by digest that the CRI gives to
# them, unless somebody else's name stands for the same image.
images() {
	socket=$1
	shift
	doing 'remove the images that we brought'
	list=$(limited 30 ctr -a "$socket" -n k8s.io images ls 2>/dev/null |
		sed -nE 's/^([^ ]+) +[^ ]+ +(sha256:[0-9a-f]+) .*/\2 \1/p')
	wanted=" $* "
	ours=' '
	foreign=' '
	while read -r digest name; do
		case $wanted,$name in
		*" $name "*) ours="$ours$digest " ;;
		*,sha256:* | *,*@sha256:*) ;;
		*) foreign="$foreign$digest " ;;
		esac
	done <<EOF
$list
EOF
	set --
	while read -r digest name; do
		case $wanted in *" $name "*) set -- "$@" "$name" && continue ;; esac
		case $name in sha256:* | *@sha256:*) ;; *) continue ;; esac
		case $foreign in *" $digest "*) continue ;; esac
		case $ours in *" $digest "*) set -- "$@" "$name" ;; esac
	done <<EOF
$list
EOF
	if [ $# -gt 0 ]; then
		quietly 120 ctr -a "$socket" -n k8s.io images rm --sync "$@" || stuck 'images that we brought'
	fi
}

# The end

# look PATH...: what still stands in places that Kubernetes uses.
look() {
	doing 'look for what is left'
	for path; do
		if [ ! -d "$path" ]; then
			if there "$path"; then left "${path#.}"; fi
			continue
		fi
		IFS=$nl
		set -f
		for found in $(find "$path" ! -type d 2>/dev/null | sort | head -n 20); do
			left "${found#.}"
		done
		unset IFS
		set +f
	done
	if quietly 20 systemctl is-active -q kubelet.service; then stuck 'the kubelet runs again'; fi
}

# forget: the receipt goes last of all, and only if nothing is stuck.
forget() {
	if [ $clean = yes ]; then
		for path in "$state"/* "$state"/.[!.]*; do
			if [ "$path" != "$state/receipt.json" ]; then rm -rf -- "$path"; fi
		done
		rm -f -- "$state/receipt.json"
		rmdir -- "$state"
		sync
	fi
	echo '@@end'
}
