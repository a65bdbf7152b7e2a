# Tells how the managed pieces of this machine look. Changes nothing.
#
# Set before this text: the sizes of the lists on standard input, in the order in
# which they are read here (paths) and by the kinds of resources, whose questions
# follow this text.

: "${paths=0}"
cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
state=./var/lib/clusterctl

# take BYTES: not one more of standard input (busybox's head reads ahead).
take() { dd bs=64K iflag=fullblock,count_bytes count="$1" status=none; }

# One process for a whole list, however long it is.
list() {
	bytes=$1
	shift
	if [ "$bytes" -gt 0 ]; then take "$bytes" | xargs -0 "$@" 2>/dev/null; fi
}

# list_safe BYTES COMMAND...: the same for files that are read.
list_safe() {
	if [ -z "$loose" ] || [ "$1" -eq 0 ]; then
		list "$@"
		return
	fi
	bytes=$1
	shift
	take "$bytes" | tr '\0' '\n' | while IFS= read -r path; do
		if safe "$path/."; then printf '%s\0' "$path"; fi
	done | xargs -0 "$@" 2>/dev/null
}

# judge: which of the paths that were asked about, or that are ours, others could redirect.
judge() {
	while IFS= read -r path; do
		enter "${path%/.}/."
	done <<END-OF-PATHS
$asked
$ours
$state/receipt.json
END-OF-PATHS
	weigh
	if [ -z "$loose" ]; then return; fi
	echo '@@section loose'
	printf '%s\n' "$asked" "$ours" "$state/receipt.json" | while IFS= read -r path; do
		safe "$path" || blame "$path"
	done
}

# conclude: what an earlier run left behind here, and the end.
conclude() {
	if ! safe "$state/receipt.json"; then
		echo '@@end'
		return
	fi
	if [ -r "$state/owed" ]; then
		echo '@@section owed'
		head -c 100000 "$state/owed"
	fi
	if [ -d "$state/previous" ]; then
		echo '@@section previous'
		(cd "$state/previous/files" && find . ! -type d ! -name '*.part') 2>/dev/null | head -n 1000
		cat "$state/previous/absent" 2>/dev/null
	fi
	if [ -r "$state/lock" ]; then
		echo '@@section lock'
		echo "$(($(date +%s) - $(stat -c %Y "$state/lock")))"
		head -n 1 "$state/lock" | cut -c 1-4000
	fi
	if [ -e "$state/receipt.json" ]; then
		echo '@@section receipt'
		head -c 4000000 "$state/receipt.json" | base64
	fi
	echo '@@end'
}

echo '@@clusterctl observe 1'
asked=$(take "$paths" | tr '\0' '\n')
# Files of ours: they may have left the inventory.
ours=$(sed -n '/^  "files": {$/,/^  }/s/^    "\(\/.*\)": {$/.\1/p' "$state/receipt.json" 2>/dev/null)
judge
echo '@@section paths'
printf '%s' "$asked" | tr '\n' '\0' | xargs -0 stat -c '%f %u:%g %U:%G %s %i %Y %Z %n' -- 2>/dev/null
