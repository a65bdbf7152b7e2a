# Files.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
: "${big=0}" "${hashed=0}" "${shown=0}" "${kubeconfigs=0}"
nl='
'
tab=$(printf '\t')

# Big files are hashed only if they are not as we left or saw them: a stamp is
# size, inode, times and path, a tab, and the hash.
stamps=
if [ -r "$state/stamps" ] && safe "$state/stamps"; then stamps=$(head -c 1000000 "$state/stamps"); fi
changed=
echo '@@section stamps'
printf '%s\n' "$stamps"
echo '@@section hashes'
found=$(list_safe "$big" stat -L -c '%s %i %Y %Z %n' --)
# Two loops, for `${stamps#*"$line"}` takes time with the square of what it is applied to.
while IFS=$tab read -r stamp hash; do
	case $nl$found$nl in
	*"$nl$stamp$nl"*) if [ -n "$stamp" ]; then printf '%s  %s\n' "$hash" "./${stamp#* ./}"; fi ;;
	esac
done <<EOF
$stamps
EOF
while IFS= read -r line; do
	case $nl$stamps in
	*"$nl$line$tab"*) ;;
	*) if [ -n "$line" ]; then changed="$changed$line$nl"; fi ;;
	esac
done <<EOF
$found
EOF
if [ -n "$changed" ]; then
	printf '%s' "$changed" | sed 's/^[^.]* //' | tr '\n' '\0' | sums 1
fi
sums=$(list_safe "$hashed" sha256sum --)
printf '%s\n' "$sums"
echo '@@section unstamped'
printf '%s' "$changed"

# differing LINES: of the next `sha256 path` lines, the paths of files that have
# another hash.
differing() {
	if [ "$1" -eq 0 ]; then return; fi
	take "$1" | while read -r hash path; do
		case $nl$sums$nl in *"$nl$hash  $path$nl"*) continue ;; esac
		if [ -f "$path" ] && safe "$path/."; then printf '%s\n' "$path"; fi
	done
}

# What the files say that are not as they should be. What a link leads to is not shown.
differing "$shown" | while read -r path; do
	if [ -h "$path" ]; then continue; fi
	printf '@@section content %s\n' "$path"
	head -c 262145 "$path" | base64
done

# What is no secret in the kubeconfigs that are not as they should be.
differing "$kubeconfigs" | while read -r path; do
	printf '@@section kubeconfig %s\n' "$path"
	sed -n -e 's/^[- ]*server: */server /p' -e 's/^ *certificate-authority-data: */ca /p' \
		-e 's/^ *client-certificate-data: */certificate /p' "$path" | head -c 65536
done

#: converge
# place STEP keep|ours PATH
place() {
	current=$1
	temp "$3"
	if [ -d "$3" ]; then fail "$3 is a directory"; fi
	if [ "$2" = keep ]; then keep "$3"; fi
	attempt "can't put $3 in its place" mv -f -- "$new" "$3"
	finish "$1"
}

# save PATH: keys of a cluster are kept whenever others replace them, whosever they are: not
# where reset finds what it puts back, but where it leaves them.
save() {
	if [ ! -e "$1" ]; then return; fi
	copy=$state/replaced/$(date -u +%Y%m%dT%H%M%SZ)/${1#./}
	attempt "can't keep $1" mkdir -p -- "${copy%/*}"
	attempt "can't keep $1" cp -Lp -- "$1" "$copy"
	mode 0600 "$copy"
	flush "$copy"
}

# seed STEP PATH: as place, but what is there already stays.
seed() {
	current=$1
	temp "$2"
	ln -- "$new" "$2" 2>/dev/null
	if [ ! -e "$2" ] && [ ! -L "$2" ]; then fail "can't put $2 in its place"; fi
	rm -f -- "$new"
	finish "$1"
}

# relabel PATH...: with SELinux, a new file gets the label of its path.
relabel() {
	if [ -e ./sys/fs/selinux/enforce ] && command -v restorecon >/dev/null 2>&1; then
		restorecon -F -- "$@" 2>/dev/null
	fi
	return 0
}

# stamp SHA256 PATH: how a big file looks, so that it need not be hashed again.
stamp() { stat -L -c "%s %i %Y %Z %n	$1" -- "$2"; }

# stamps: from now on, what stamp printed counts.
stamps() {
	attempt "can't write $state/stamps" mv -f -- "$state/stamps.new" "$state/stamps"
}

#: reset
# remove PATH...: ours, and where their new content was received.
remove() {
	doing 'remove files'
	ask "$@"
	for path; do
		if ! safe "$path"; then
			if there "$path"; then left "${path#.} ($(why): remove it by hand)"; fi
			continue
		fi
		rm -f -- "$path" "${path%/*}/.${path##*/}.clusterctl-new" 2>/dev/null
		if there "$path"; then stuck "${path#.}"; fi
	done
}

# keep_additions SHA256 PATH: what others have added to a file of ours is not lost with it.
keep_additions() {
	ask "$2"
	if [ ! -f "$2" ] || ! safe "$2" || [ "$(sha256sum <"$2")" = "$1  -" ]; then return; fi
	aside=$state/replaced/$(date -u +%Y%m%dT%H%M%SZ)/${2#./}
	if mkdir -p -- "${aside%/*}" && cp -Lp -- "$2" "$aside"; then
		left "${aside#.} (${2#.} as it was: it was changed after apply wrote it)"
	else
		stuck "${2#.} was changed since, and could not be kept"
	fi 2>/dev/null
}

# bring_back PATH...: what was kept goes back to its place, unless there is something
# by now that is not among ours.
bring_back() {
	if [ ! -d "$state/originals" ]; then return; fi
	doing 'restore original files'
	ours=$nl$(printf '%s\n' "$@")$nl
	IFS=$nl
	set -f
	# A line each, and no newline gets in.
	copies=$(find "$state/originals" ! -type d ! -name '*.part')
	chain=
	for copy in $copies; do enter "./${copy#"$state/originals/"}"; done
	weigh
	for copy in $copies; do
		path=./${copy#"$state/originals/"}
		if ! safe "$path"; then
			set_aside "$path" "$copy"
			continue
		fi
		case $ours in *"$nl$path$nl"*) ;; *)
			if there "$path" && ! unchanged "$path" "$copy"; then
				left "${path#.} (changed since; the original is lost: $(first_line "$copy"))"
				continue
			fi
			;;
		esac
		put_back "$path" "$copy"
	done
	unset IFS
	set +f
}

# first_line COPY
first_line() {
	if [ -h "$1" ]; then
		printf 'a link to %s' "$(readlink -- "$1")"
	else
		head -c 200 "$1" | head -n 1
	fi
}

# set_aside PATH COPY: what was there before can't go back, and isn't lost.
set_aside() {
	aside=$state/replaced/$(date -u +%Y%m%dT%H%M%SZ)/${1#./}
	if mkdir -p -- "${aside%/*}" && mv -- "$2" "$aside"; then
		left "${1#.} ($(why); what was there before apply is in ${aside#.})"
	else
		stuck "the original of ${1#.} could not be kept"
	fi 2>/dev/null
}

# unchanged PATH COPY: whether it is as we left it. We remove what we keep and
# is not among our files, all but fstab, where lines become comments.
unchanged() {
	if [ "$1" != ./etc/fstab ]; then return 1; fi
	[ "$(swapless <"$2")" = "$(cat "$1")" ]
}

put_back() {
	new=${1%/*}/.${1##*/}.clusterctl-new
	rm -rf -- "$new"
	if [ ! -d "${1%/*}" ]; then mkdir -p -- "${1%/*}"; fi
	if [ -d "$1" ] && [ ! -L "$1" ] || ! cp -Pp -- "$2" "$new" || ! mv -f -- "$new" "$1"; then
		stuck "the original of ${1#.} could not be restored"
		return
	fi 2>/dev/null
	if [ -e ./sys/fs/selinux/enforce ] && has restorecon; then restorecon -F -- "$1" 2>/dev/null; fi
}
