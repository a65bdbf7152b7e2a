# Scripts of ours that say what is missing of what they keep up.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
: "${checks=0}"
echo '@@section checks'
# shellcheck disable=SC2016 # the inner shell's
list_safe "$checks" sh -c '
	for script; do
		if [ ! -f "$script" ]; then continue; fi
		timeout 20 sh "$script" check </dev/null | head -n 20 | while read -r line; do
			printf "%s %s\n" "$script" "$line"
		done
	done' sh
