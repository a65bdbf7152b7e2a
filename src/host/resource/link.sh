# Symbolic links.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: converge
# link STEP TARGET PATH: what is there already stays.
link() {
	start "$1"
	if [ ! -e "$3" ] && [ ! -L "$3" ]; then
		attempt "can't make the link $3" ln -s -- "$2" "$3"
	fi
	finish "$1"
}
