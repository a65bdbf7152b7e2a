# Kernel modules.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
echo '@@section filesystems'
cat ./proc/filesystems 2>/dev/null

#: converge
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

#: reset
# modules NAME...: one in use stays, and does no harm.
modules() {
	for module; do quietly 30 modprobe -r "$module"; done
}
