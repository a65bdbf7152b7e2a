# Sysctls, as the kernel has them now.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
: "${sysctls=0}"
echo '@@section sysctls'
list "$sysctls" grep -aHs '' --

#: converge
# sysctl_set STEP VALUE PATH
sysctl_set() {
	start "$1"
	if [ ! -e "$3" ]; then fail "the kernel has no ${3#./proc/sys/}"; fi
	output=$({ printf '%s\n' "$2" >|"$3"; } 2>&1) || fail "the kernel refused $3 = $2" "$output"
	finish "$1"
}

#: reset
# sysctl_back VALUE PATH
sysctl_back() {
	if [ ! -e "$2" ]; then return; fi
	{ printf '%s\n' "$1" >"$2"; } 2>/dev/null || stuck "the kernel refuses ${2#.} = $1"
}
