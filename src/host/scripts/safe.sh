# Whether a path leads where root has put it. Whoever may write to a directory can put a link in
# the place of whatever is in it, at any moment: what root then reads, writes or gives away there
# is something else. So on the way to a path, through all links, every directory has to be
# root's, and no other may write to it. Such a way can't change while it is walked, either.
#
# enter PATH adds a path to those that are asked about, weigh looks at all of them together, and
# safe PATH says which are. A path that ends in `/.` is one whose last part is followed, too, if it
# is a link.
: "${state=./var/lib/clusterctl}"
nl='
'
chain=
links=
ends=
loose=

# climb PATH: adds the directories above it to $chain, and to $links those that are links.
climb() {
	way=$1
	while case $way in ?*/*) ;; *) false ;; esac; do
		way=${way%/*}
		case $nl$chain in *"$nl$way$nl"*) return ;; esac
		chain=$chain$way$nl
		if [ -h "$way" ]; then links=$links$way$nl; fi
	done
}

# lead LINK: where it leads, in $to.
lead() {
	to=$(readlink -- "$1")
	case $to in /*) ;; *) to=${1%/*}/$to ;; esac
}

enter() {
	climb "${1%/.}"
	case $1 in
	*/.) if [ -h "${1%/.}" ]; then ends=$ends${1%/.}$nl; fi ;;
	esac
	hops=0
	# Links can lead in circles that have a new name each time.
	while [ -n "$links$ends" ] && [ $hops -lt 100 ]; do
		hops=$((hops + 1))
		if [ -n "$links" ]; then
			link=${links%%"$nl"*}
			links=${links#*"$nl"}
			lead "$link"
			climb "$to/."
		else
			link=${ends%%"$nl"*}
			ends=${ends#*"$nl"}
			lead "$link"
			climb "$to"
			if [ -h "$to" ]; then ends=$ends$to$nl; fi
		fi
	done
	if [ -n "$links$ends" ]; then
		loose="$loose? ${link}$nl"
		chain=$chain$link$nl
	fi
	links=
	ends=
}

# weigh: the directories of $chain that others than root could change, in $loose: a line of
# `MODE DIRECTORY` for each.
weigh() {
	if [ -z "$chain" ]; then return; fi
	me=$(id -u)
	found=$(printf '%s' "$chain" | tr '\n' '\0' | xargs -0 stat -L -c '%u %g %a %n/' -- 2>/dev/null)
	while IFS=' ' read -r uid gid bits way; do
		way=${way%/}
		case $uid,$bits in
		0,*[2367] | "$me",*[2367]) ;;
		0,*[2367]? | "$me",*[2367]?) if is_roots "$gid" "$way"; then continue; fi ;;
		0,* | "$me",* | ,) continue ;;
		esac
		loose="$loose$bits $way$nl"
	done <<END-OF-WAYS
$found
END-OF-WAYS
}

# is_roots GID DIRECTORY: whether a group that may write to it is root's own, or has no members.
is_roots() {
	# What an ACL allows to others looks like the group's.
	case $(ls -ld -- "$2/.") in ??????????+*) return 1 ;; esac
	if [ "$1" = "$(id -g)" ]; then return 0; fi
	getent group "$1" 2>/dev/null | grep -q ':$' &&
		! getent passwd | cut -d : -f 4 | grep -qx -e "$1"
}

# safe PATH: whether only root decides where it leads. If not, $culprit is the outermost
# directory that others could change: `MODE DIRECTORY`.
safe() {
	culprit=
	if [ -z "$loose" ]; then return 0; fi
	chain=
	enter "$1"
	while IFS= read -r line; do
		if [ -z "$line" ]; then continue; fi
		case $nl$chain in *"$nl${line#* }$nl"*) culprit=$line ;; esac
	done <<END-OF-WAYS
$loose
END-OF-WAYS
	[ -z "$culprit" ]
}

# ask PATH...: from now on, safe knows of these, too.
ask() {
	chain=
	for asked; do enter "$asked"; done
	weigh
}

# all_safe, with paths on standard input: ends the script, unless all of them are safe and what
# we keep on this machine is, too.
all_safe() {
	asked=$(
		cat
		echo "$state/receipt.json"
	)
	while IFS= read -r path; do enter "$path"; done <<END-OF-PATHS
$asked
END-OF-PATHS
	weigh
	if [ -z "$loose" ]; then return; fi
	wrong=$(printf '%s\n' "$asked" | while IFS= read -r path; do
		safe "$path" || printf '@@loose %s\n' "$(blame "$path")"
	done)
	if [ -z "$wrong" ]; then return; fi
	printf '%s\n' "$wrong"
	exit 1
}

# blame PATH: who could change where it leads, as `PATH DIRECTORY MODE OWNER`, with tabs.
blame() {
	printf '%s\t%s\t%s\t%s\n' "$1" "${culprit#* }" "${culprit%% *}" \
		"$(stat -L -c %U -- "${culprit#* }" 2>/dev/null)"
}

# why: the same for people, of the path that safe was last asked about.
why() {
	way=${culprit#* }
	printf '%s belongs to %s, mode %s' "${way#.}" "$(stat -L -c %U -- "$way")" "${culprit%% *}"
}

