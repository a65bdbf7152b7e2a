# Paths that must not exist.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: converge
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
