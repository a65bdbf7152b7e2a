# Takes Kubernetes off this machine. Each kind of resource adds its functions to
# these; what follows them calls them.
#
# Every step is bounded in time, can be made again, and goes on after a failure:
# a machine in pieces must not keep the rest from being cleaned. What should be
# gone and isn't is told at the end, and then the receipt stays, so that the
# next run can take it up.

cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
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

# owned PATH: whether it is safe to remove something there; else it is stuck.
owned() {
	ask "$1"
	if safe "$1"; then return 0; fi
	stuck "${1#.} ($(why))"
	return 1
}

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

# pods SOCKET: all of the CRI's, whatever made them, as kubeadm does. The
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
	doing 'remove the pod network'
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
# All of a table goes in one transaction. No other rule is touched.
firewall() {
	doing "remove Kubernetes' firewall rules"
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

# Kubernetes' own files

# kubelet_state ours|found: what the kubelet keeps. A directory that was here
# before us loses only what a kubelet is known to make.
kubelet_state() {
	doing "remove Kubernetes' own state"
	base=./var/lib/kubelet
	if ! owned $base/pods || ! owned ./etc/kubernetes/kubelet.conf; then return 0; fi
	# Removing through a mount would empty a volume.
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
	# The second is where /usr can't be written.
	for base in ./usr/libexec/kubernetes ./opt/libexec/kubernetes; do
		rmdir $base/kubelet-plugins/volume/exec $base/kubelet-plugins/volume \
			$base/kubelet-plugins $base 2>/dev/null
	done
	rmdir ./opt/libexec 2>/dev/null
	# kube-proxy mounts it, and so it is made where the kernel has no use for it.
	rmdir ./lib/modules 2>/dev/null
}

# etcd_state DIRECTORY: etcd's data is all below member/.
etcd_state() {
	owned "$1/member" || return 0
	rm -rf -- "$1/member" 2>/dev/null
	if there "$1/member"; then stuck "${1#.}/member"; fi
}

# cni_state NETWORK: addresses given and results remembered.
cni_state() {
	base=./var/lib/cni
	owned $base/networks/x || return 0
	rm -rf -- "$base/networks/$1" $base/results/"$1"-* $base/results/cni-loopback-*
	rmdir $base/networks $base/results $base 2>/dev/null
}

# The end

# look PATH...: what is left in places that Kubernetes uses.
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

# forget: the receipt goes last of all, and only if nothing is stuck. Keys of a cluster that
# others have replaced may be the only ones left of it.
forget() {
	if [ $clean = yes ]; then
		for path in "$state"/* "$state"/.[!.]*; do
			case ${path#"$state/"} in
			receipt.json) ;;
			replaced) left "${path#.} (what apply has replaced, and keys)" ;;
			*) rm -rf -- "$path" ;;
			esac
		done
		rm -f -- "$state/receipt.json"
		if [ ! -d "$state/replaced" ]; then rmdir -- "$state"; fi
		sync
	fi
	echo '@@end'
}
