# Makes this machine as it should be. Each kind of resource adds its functions to
# these; what follows them calls them. The contents of files come over standard
# input, in order.
#
# A file is received beside its place under another name, readable by root
# alone, checked together with all others, given its owner and mode, flushed,
# and only then renamed. Whatever fails, nothing half-written is ever seen, and
# the temporary files go.

cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
umask 077
# A temporary file is always a new one, never a symbolic link that is there.
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

# warn WHAT: it does not stop anything.
warn() { printf '@@step warned %s %s\n' "$current" "$1"; }

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

# taking NUMBER OWNER: it is this run's turn.
taking() { attempt "can't write $state/lock" claim "$@"; }

# unchanged, with lines of `before after path` on file descriptor 3: each file still has the
# hash that it had when the plan was made, or has its new one already. Zeros: no file.
unchanged() {
	wanted=$(cat <&3)
	found=$(printf '%s\n' "$wanted" | cut -c 131- | while IFS= read -r path; do
		if [ -f "$path" ]; then printf '%s\0' "$path"; fi
	done | sums 8)
	changed=$(printf '%s\n' "$wanted" | while IFS= read -r line; do
		path=${line#* * }
		before=${line%% *}
		after=${line#* }
		case $nl$found$nl in
		*"$nl$before  $path$nl"* | *"$nl${after%% *}  $path$nl"*) continue ;;
		esac
		case $before in
		*[!0]*) ;;
		*) if [ ! -e "$path" ] && [ ! -L "$path" ]; then continue; fi ;;
		esac
		printf '@@changed %s\n' "$path"
	done)
	if [ -z "$changed" ]; then return 0; fi
	printf '%s\n' "$changed"
	exit 1
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
	attempt "can't give files to $who" chown -h -- "$who" "$@"
}

mode() {
	bits=$1
	shift
	attempt "can't set mode $bits" chmod -- "$bits" "$@"
}

# keep PATH: what is there is not ours, so reset will want it back.
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

# settle PATH...: the directories that were changed, onto the disk.
settle() {
	flush "$@"
	temporary=
}

# attributes STEP keep|ours OWNER MODE PATH: of a directory, PATH ends in `/.`.
attributes() {
	start "$1"
	if [ -h "$5" ]; then fail "$5 is a symbolic link"; fi
	if [ "$2" = keep ]; then keep "$5"; fi
	owner "$3" "$5"
	mode "$4" "$5"
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
