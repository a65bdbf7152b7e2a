# Directories.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: converge
# directory STEP MODE PATH [OWNER]
directory() {
	start "$1"
	attempt "can't make $3" mkdir -p -- "$3"
	if [ -n "${4-}" ]; then owner "$4" "$3/."; fi
	mode "$2" "$3/."
	finish "$1"
}

#: reset
# attributes_back MODE OWNER PATH: of a directory that was here before us.
attributes_back() {
	if [ ! -d "$3" ]; then return; fi
	ask "$3/."
	if ! safe "$3/."; then
		left "${3#.} (has the mode and owner that apply gave it: $(why))"
		return
	fi
	{ chown -h -- "$2" "$3/." && chmod -- "$1" "$3/."; } 2>/dev/null ||
		stuck "${3#.} should have mode $1 and belong to $2"
}

# directories PATH...: ours, the deepest first; one that isn't empty stays.
directories() {
	ask "$@"
	for path; do
		if safe "$path"; then rmdir -- "$path" 2>/dev/null; fi
	done
}
