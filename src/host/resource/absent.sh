# Paths that must not exist.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
# Those of ours that exist.
echo '@@section ours'
printf '%s\n' "${ours-}" | while IFS= read -r path; do
	if [ -e "$path" ] || [ -h "$path" ]; then printf '%s\n' "$path"; fi
done

#: converge
# withdraw STEP PATH: ours goes, and what was kept comes back.
withdraw() {
	start "$1"
	copy=$state/originals/${2#./}
	if { [ -e "$copy" ] || [ -h "$copy" ]; } && [ -d "${2%/*}" ]; then
		temp "$2"
		rm -f -- "$new"
		temporary=$temporary$new$nl
		attempt "can't restore $2" cp -Pp -- "$copy" "$new"
		flush "$new"
		attempt "can't restore $2" mv -f -- "$new" "$2"
		settle "${2%/*}"
		rm -f -- "$copy"
	else
		attempt "can't remove $2" rm -f -- "$2"
	fi
	finish "$1"
}

# forget STEP PATH: it stays, and what it replaced is the operator's to bring back.
forget() {
	start "$1"
	copy=$state/originals/${2#./}
	if [ -e "$copy" ] || [ -h "$copy" ]; then
		kept=$state/replaced/$(date -u +%Y%m%dT%H%M%SZ)/${2#./}
		attempt "can't keep the original of $2" mkdir -p -- "${kept%/*}"
		attempt "can't keep the original of $2" mv -- "$copy" "$kept"
	fi
	finish "$1"
}

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
