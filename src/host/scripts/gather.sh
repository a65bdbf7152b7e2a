# Tells what this machine is. Changes nothing.
#
# Set before this text: endpoint, cri_socket, certificates (relative), paths, directories and
# running_files (relative, one a line), kernel_options (one a line), package_managers
# (commands), components (an extended regular expression), running_flags and running_fields
# (names, joined by |).

: "${endpoint=}" "${cri_socket=}" "${paths=}" "${directories=}" "${kernel_options=}"
: "${certificates=}" "${package_managers=}" "${components=}" "${running_files=}"
: "${running_flags=}" "${running_fields=}"
cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
nl='
'

# Nanoseconds since 1970; busybox has only seconds.
clock() {
	now=$(date +%s%N)
	case $now in *[!0-9]*) now=$(date +%s)000000000 ;; esac
	printf '%s\n' "$now"
}

echo '@@clusterctl gather 1'
echo '@@section started'
clock

echo '@@section machine'
uname -n
uname -r
uname -m
nproc
id -u

# One process for all the small files; each line says where it is from.
echo '@@section files'
grep -aHs '' ./etc/os-release ./usr/lib/os-release ./etc/machine-id \
	./etc/resolv.conf ./run/systemd/resolve/resolv.conf ./proc/swaps \
	./proc/cgroups ./proc/filesystems ./sys/fs/cgroup/cgroup.controllers \
	./proc/sys/net/ipv4/ip_forward ./proc/sys/net/ipv6/conf/default/forwarding \
	./proc/sys/net/bridge/bridge-nf-call-iptables \
	./proc/sys/net/bridge/bridge-nf-call-ip6tables \
	./sys/fs/selinux/enforce ./sys/class/dmi/id/product_uuid ./sys/class/net/*/mtu |
	head -c 400000
grep -aHs '^MemTotal:' ./proc/meminfo
grep -aHsi '_proxy *=' ./etc/environment
env | sed -n '/^[A-Za-z]*_[Pp][Rr][Oo][Xx][Yy]=/s/^/env:/p'
systemctl show-environment 2>/dev/null | sed -n '/^[A-Za-z]*_[Pp][Rr][Oo][Xx][Yy]=/s/^/systemd:/p'
grep -aHsi '^[^#]*_proxy=' ./etc/systemd/system/containerd.service \
	./etc/systemd/system/containerd.service.d/*.conf ./run/systemd/system/containerd.service.d/*.conf \
	./usr/local/lib/systemd/system/containerd.service.d/*.conf \
	./usr/lib/systemd/system/containerd.service.d/*.conf ./etc/default/containerd \
	./etc/sysconfig/containerd | head -c 20000

echo '@@section commands'
for name in $package_managers ip ss iptables nft conntrack losetup mount cp \
	swapoff modprobe systemctl containerd ctr crictl kubelet kubeadm kubectl \
	sha256sum stat base64 xargs timeout getent bash nc curl; do
	if command -v "$name" >/dev/null 2>&1; then echo "$name"; fi
done

echo '@@section present'
IFS=$nl
set -f
for path in $paths; do
	if [ -e "$path" ]; then printf '%s\n' "$path"; fi
done
set +f
if [ -S ".$cri_socket" ]; then echo socket; fi
for path in ./sys/fs/cgroup/*/cgroup.freeze; do
	if [ -e "$path" ]; then echo freezer; fi
	break
done

# Directories that hold something.
echo '@@section filled'
for path in $directories; do
	for entry in "$path"/* "$path"/.[!.]*; do
		# What mkfs leaves at the top of a file system holds no data.
		if [ "${entry##*/}" != lost+found ] && [ -e "$entry" ]; then
			printf '%s\n' "$path"
			break
		fi
	done
done

# Free bytes where the nearest existing parent lies, in the order asked.
echo '@@section disks'
set --
for path in $directories; do
	while [ ! -e "$path" ]; do path=${path%/*}; done
	set -- "$@" "$path"
done
stat -f -c '%S %a' -- "$@"
unset IFS

echo '@@section kernel'
release=$(uname -r)
for path in ./proc/config.gz "./boot/config-$release" "./usr/src/linux-$release/.config" \
	./usr/src/linux/.config "./usr/lib/modules/$release/config" \
	"./usr/lib/ostree-boot/config-$release" "./usr/lib/kernel/config-$release" \
	"./usr/src/linux-headers-$release/.config" "./lib/modules/$release/build/.config"; do
	if [ -r "$path" ]; then
		printf '%s\n' "$path"
		case $path in *.gz) gzip -dc "$path" ;; *) cat "$path" ;; esac |
			grep -xF "$kernel_options"
		break
	fi
done

echo '@@section units'
systemctl show -p Id,LoadState,ActiveState,UnitFileState -- kubelet.service \
	containerd.service crio.service firewalld.service systemd-resolved.service 2>/dev/null

echo '@@section ports'
if command -v ss >/dev/null 2>&1; then
	ss -ltnp 2>/dev/null
else
	grep -ahs ' 0A ' ./proc/net/tcp ./proc/net/tcp6
fi | head -c 200000

echo '@@section addresses'
if command -v ip >/dev/null 2>&1; then
	ip -o addr show 2>/dev/null
	echo '@@section routes'
	ip -4 route show default 2>/dev/null
	ip -6 route show default 2>/dev/null
fi | head -c 400000
if command -v ip >/dev/null 2>&1; then
	echo '@@section networks'
	{ ip -4 route show && ip -6 route show; } 2>/dev/null | head -c 200000
fi

# Where nothing can be written, be it root who writes; and what is ours in either place.
echo '@@section places'
for path in ./usr/bin ./usr/lib/systemd/system ./usr/local/lib ./opt; do
	if [ ! -d "$path" ]; then continue; fi
	options=
	if command -v findmnt >/dev/null 2>&1; then
		options=$(findmnt -nro OPTIONS -T "$path" 2>/dev/null | tail -n 1)
	fi
	case $options in
	ro | ro,*) ;;
	*) if [ -w "$path" ]; then continue; fi ;;
	esac
	printf 'read-only %s\n' "$path"
done
sed -n 's/^    "\(\/.*bin\/kubelet\)": {$/ours .\1/p' ./var/lib/clusterctl/receipt.json 2>/dev/null

echo '@@section packages'
package_state

echo '@@section joined'
sed -n -e 's/^ *certificate-authority-data: */ca /p' -e 's/^ *server: */server /p' \
	./etc/kubernetes/kubelet.conf 2>/dev/null
sed -n -e 's/^  "cluster": "\(.*\)",*$/cluster \1/p' \
	-e 's/^  "clusterId": "\(.*\)",*$/id \1/p' -e 's/^  "ca": "\(.*\)",*$/pin \1/p' \
	./var/lib/clusterctl/receipt.json 2>/dev/null

# Whose certificates are here: public files, each line with its name, and which keys exist.
echo '@@section authorities'
(
	cd "$certificates" 2>/dev/null || exit 0
	grep -aHs '' ca.crt etcd/ca.crt front-proxy-ca.crt sa.pub | head -c 100000
	for name in ca.key etcd/ca.key front-proxy-ca.key sa.key; do
		if [ -e "$name" ]; then printf '%s:\n' "$name"; fi
	done
)

# What etcd was started with, word for word; the list may be long.
echo '@@section etcd'
etcd=./etc/kubernetes/manifests/etcd.yaml
sed -n -e 's/^ *- --\(initial-cluster\)=/\1 /p' -e 's/^ *- --\(initial-cluster-state\)=/\1 /p' \
	-e 's/^ *- --\(data-dir\)=/\1 /p' -e 's/^ *- --\(wal-dir\)=/\1 /p' "$etcd" 2>/dev/null
# Without its log it has no data, whatever it still has in memory.
if [ -e "$etcd" ]; then
	wal=$(sed -n 's/^ *- --wal-dir=//p' "$etcd" | tail -n 1)
	data=$(sed -n 's/^ *- --data-dir=//p' "$etcd" | tail -n 1)
	if [ -e ".${wal:-$data/member/wal}" ]; then
		echo has-data
	elif readlink ./proc/[0-9]*/fd/* 2>/dev/null | grep -q '/wal/[^ ]* (deleted)$'; then
		echo data-deleted
	fi
fi

# What components were started with; each line says where it is from.
echo '@@section running'
IFS=$nl
set -f
# shellcheck disable=SC2086 # One argument a line.
set -- $running_files
set +f
unset IFS
grep -aHsE -e "^ *- *[\"']?--($running_flags)(=|[\"']?\$)" -e '^ *image: ' \
	-e "^($running_fields):" -e '^KUBELET_KUBEADM_ARGS=' -e '^ *server: ' \
	-- /dev/null "$@" | head -c 200000

# What kubelet and container runtime read beside what is ours: static pods (the kubelet
# runs every file whose name has no dot in front), networks, drop-ins, arguments.
echo '@@section beside'
for path in ./etc/kubernetes/manifests/*; do
	if [ ! -f "$path" ]; then continue; fi
	whose=other
	if grep -qsF "\"${path#.}\"" ./var/lib/clusterctl/receipt.json; then whose=ours; fi
	component=$(grep -aoE "(name|component)[\"']?: *[\"']?${components}[\"']?,? *\$" "$path" 2>/dev/null |
		grep -oE "$components" | head -n 1)
	printf 'manifest %s %s %s\n' "$whose" "${component:--}" "$path"
done
for path in ./etc/cni/net.d/*.conf ./etc/cni/net.d/*.conflist ./etc/cni/net.d/*.json; do
	if [ -f "$path" ]; then printf 'network %s\n' "$path"; fi
done
for path in etc/systemd/system run/systemd/system usr/local/lib/systemd/system \
	usr/lib/systemd/system lib/systemd/system; do
	# On most distributions a link to the one before.
	if [ "$path" = lib/systemd/system ] && [ -h ./lib ]; then continue; fi
	for file in "./$path/kubelet.service" "./$path"/kubelet.service.d/*.conf; do
		if [ -e "$file" ]; then printf 'unit %s\n' "$file"; fi
	done
done
grep -aHsE '^KUBELET_EXTRA_ARGS=.*[^"'"'"' =]' ./etc/default/kubelet ./etc/sysconfig/kubelet |
	sed 's/^/arguments /' | head -c 4000

# containerd's configuration, and what it imports: whoever wrote them, they stay. Each once,
# in the order in which containerd reads them.
# containerd_file PATH
containerd_file() {
	if [ ! -f "$1" ]; then return; fi
	ask "$1/."
	if safe "$1/."; then
		printf '@@section containerd %s %s\n' "$(stat -L -c %a -- "$1")" "$1"
		head -c 262145 "$1" | base64
	else
		printf '@@section containerd loose %s\n' "$1"
	fi
}

# imports_of PATH: the patterns in its list of imports, one a line. What only looks like one
# does no harm: who reads the answer knows better.
imports_of() {
	sed -n -e '/^[ 	]*imports[ 	]*=/{' -e ':a' -e '/\]/!{' -e '$!{' -e 'N' -e 'ba' -e '}' -e '}' \
		-e 'p' -e 'q' -e '}' "$1" 2>/dev/null | grep -aoE "\"[^\"]*\"|'[^']*'" | tr -d "\"'" |
		sed -e 's/^/./' -e 's/^\.\([^/]\)/.\/etc\/containerd\/\1/'
}

echo '@@section containerd-receipt'
sed -n '/^    "\/etc\/containerd\/config.toml": {$/,/^    }/p' ./var/lib/clusterctl/receipt.json 2>/dev/null
echo '@@section containers'
for path in ./run/containerd/io.containerd.runtime.v2.task/*/*; do
	if [ -d "$path" ]; then printf '%s\n' "${path#./run/containerd/io.containerd.runtime.v2.task/}"; fi
done | grep -v '^k8s.io/' | head -n 20
containerd_file ./var/lib/clusterctl/originals/etc/containerd/config.toml
IFS=$nl
pending=./etc/containerd/config.toml
known=$nl
count=0
while [ -n "$pending" ] && [ $count -lt 50 ]; do
	next=
	for path in $pending; do
		case $known in *"$nl$path$nl"*) continue ;; esac
		known=$known$path$nl
		count=$((count + 1))
		containerd_file "$path"
		next=$next$(imports_of "$path")$nl
		if [ $count = 1 ]; then next="$next./etc/containerd/conf.d/*.toml$nl"; fi
	done
	# Patterns become names here.
	# shellcheck disable=SC2086 # each on a line
	set -- $next
	pending=$(for path; do if [ -f "$path" ]; then printf '%s\n' "$path"; fi; done)
done
unset IFS

# Of these, the key stays here.
for path in ./var/lib/kubelet/pki/kubelet-client-current.pem \
	./var/lib/kubelet/pki/kubelet-server-current.pem ./var/lib/kubelet/pki/kubelet.crt; do
	if [ -f "$path" ]; then
		printf '@@section certificate %s\n' "$path"
		sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p' "$path" |
			sed '/-----END CERTIFICATE-----/q' | head -c 16384
		echo
	fi
done

# These take a while each, so all at once; every line is short and says whose
# it is.
echo '@@section slow'
{
	kubelet --version 2>/dev/null | sed 's/^/kubelet /' &
	kubeadm version -o short 2>/dev/null | sed 's/^/kubeadm /' &
	containerd --version 2>/dev/null | sed 's/^/containerd /' &
	timeout 5 getent ahosts "$(uname -n)" 2>/dev/null | sed 's/^/hostname /' &
	if [ -n "$endpoint" ]; then
		timeout 5 getent ahosts "$endpoint" 2>/dev/null | sed 's/^/endpoint /' &
	fi
	if [ -S ".$cri_socket" ]; then
		runtime=other
		case $cri_socket in
		*containerd*) if command -v ctr >/dev/null 2>&1; then runtime=containerd; fi ;;
		esac
		if [ "$runtime" = containerd ]; then
			timeout 5 ctr -a "$cri_socket" plugins ls 2>/dev/null |
				sed -n '/grpc.*cri/s/^/cri /p' &
		else
			timeout 5 crictl --runtime-endpoint "unix://$cri_socket" version 2>/dev/null |
				sed 's/^/crictl /' &
		fi
	fi
	wait
} </dev/null

echo '@@section ended'
clock
echo '@@end'
