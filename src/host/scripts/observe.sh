# Tells how the managed pieces of this machine look. Changes nothing.
#
# Set before this text: the sizes of the lists on standard input, in their
# order (paths, big, hashed, units, sysctls: items that end in NUL; shown and
# kubeconfigs: lines of `sha256 path`), commands (words) and images (1 or empty).

: "${paths=0}" "${big=0}" "${hashed=0}" "${units=0}" "${sysctls=0}" "${shown=0}"
: "${kubeconfigs=0}" "${commands=}" "${images=}"
cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
state=./var/lib/clusterctl
nl='
'
tab=$(printf '\t')

# take BYTES: not one more of standard input (busybox's head reads ahead).
take() { dd bs=64K iflag=fullblock,count_bytes count="$1" status=none; }

# One process for a whole list, however long it is.
list() {
	bytes=$1
	shift
	if [ "$bytes" -gt 0 ]; then take "$bytes" | xargs -0 "$@" 2>/dev/null; fi
}

echo '@@clusterctl observe 1'
echo '@@section paths'
list "$paths" stat -c '%f %u:%g %U:%G %s %i %Y %Z %n' --

# Big files are hashed only if they are not as we left or saw them: a stamp is
# size, inode, times and path, a tab, and the hash.
stamps=
if [ -r "$state/stamps" ]; then stamps=$(head -c 1000000 "$state/stamps"); fi
changed=
echo '@@section stamps'
printf '%s\n' "$stamps"
echo '@@section hashes'
found=$(list "$big" stat -L -c '%s %i %Y %Z %n' --)
while IFS= read -r line; do
	case $nl$stamps in
	*"$nl$line$tab"*)
		hash=${stamps#*"$line$tab"}
		printf '%s  %s\n' "${hash%%"$nl"*}" "./${line#* ./}"
		;;
	*) if [ -n "$line" ]; then changed="$changed$line$nl"; fi ;;
	esac
done <<EOF
$found
EOF
if [ -n "$changed" ]; then
	printf '%s' "$changed" | sed 's/^[^.]* //' | tr '\n' '\0' | sums 1
fi
sums=$(list "$hashed" sha256sum --)
printf '%s\n' "$sums"
echo '@@section unstamped'
printf '%s' "$changed"

echo '@@section units'
# shellcheck disable=SC2016 # the inner shell's
list "$units" sh -c '
	systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload -- "$@"
	# What systemd remembers of this may be older than what stands there.
	echo "@@section boot"
	for unit; do printf "%s %s\n" "$unit" "$(systemctl is-enabled -- "$unit" 2>/dev/null | head -n 1)"; done
' sh

echo '@@section sysctls'
list "$sysctls" grep -aHs '' --

# differing LINES: of the next `sha256 path` lines, the paths of files that stand
# there with another hash.
differing() {
	if [ "$1" -eq 0 ]; then return; fi
	take "$1" | while read -r hash path; do
		case $nl$sums$nl in *"$nl$hash  $path$nl"*) continue ;; esac
		if [ -f "$path" ]; then printf '%s\n' "$path"; fi
	done
}

# What the files say that are not as they should be.
differing "$shown" | while read -r path; do
	printf '@@section content %s\n' "$path"
	head -c 262145 "$path" | base64
done

# What is no secret in the kubeconfigs that are not as they should be.
differing "$kubeconfigs" | while read -r path; do
	printf '@@section kubeconfig %s\n' "$path"
	sed -n -e 's/^[- ]*server: */server /p' -e 's/^ *certificate-authority-data: */ca /p' \
		-e 's/^ *client-certificate-data: */certificate /p' "$path" | head -c 65536
done

echo '@@section kernel'
grep -aHs '' ./proc/swaps ./proc/filesystems
grep -aHsE '^[^#]+[[:space:]]swap[[:space:]]' ./etc/fstab

echo '@@section commands'
for name in $commands; do
	if command -v "$name" >/dev/null 2>&1; then printf '%s\n' "$name"; fi
done

if [ -n "$images" ] && [ -e ./run/containerd/containerd.sock ]; then
	echo '@@section images'
	timeout 20 ctr -n k8s.io images ls -q 2>/dev/null </dev/null
fi

if [ -r "$state/owed" ]; then
	echo '@@section owed'
	head -c 100000 "$state/owed"
fi

if [ -e "$state/receipt.json" ]; then
	echo '@@section receipt'
	head -c 4000000 "$state/receipt.json" | base64
fi
echo '@@end'
