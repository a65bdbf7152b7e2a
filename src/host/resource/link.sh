# Symbolic links.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: converge
# link STEP seed|replace TARGET PATH: unless it is to be replaced, what is there already stays.
link() {
	start "$1"
	if [ "$2" = replace ] && { [ -L "$4" ] || [ -f "$4" ]; }; then
		temp "$4"
		rm -f -- "$new"
		temporary=$temporary$new$nl
		attempt "can't make the link $4" ln -s -- "$3" "$new"
		attempt "can't make the link $4" mv -f -- "$new" "$4"
	elif [ ! -e "$4" ] && [ ! -L "$4" ]; then
		attempt "can't make the link $4" ln -s -- "$3" "$4"
	fi
	finish "$1"
}
