# Tells which registries containerd would reach from here. Changes nothing.
#
# Set before this text: registries, a line each: NAME IMAGE,IMAGE… URL…; certs, the directories of
# containerd's hosts.toml.

: "${registries=}" "${certs=}"
cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin

# containerd's proxies: those of its unit; else those that it will get, which are ours and systemd's.
proxies=$(systemctl show -p Environment --value containerd.service 2>/dev/null | tr ' ' '\n' |
	tr -d '"' | grep -iE '^(https?|all|no)_proxy=.')
if [ -z "$proxies" ]; then
	proxies=$(systemctl show-environment 2>/dev/null | grep -iE '^(https?|all|no)_proxy=.')
fi
for line in $proxies; do
	case ${line%%=*} in
	[Hh][Tt][Tt][Pp]_*) http_proxy=${line#*=} && export http_proxy ;;
	[Hh]*) https_proxy=${line#*=} && export https_proxy ;;
	[Aa]*) all_proxy=${line#*=} && export all_proxy ;;
	[Nn]*) no_proxy=${line#*=} && export no_proxy ;;
	esac
done
: "${http_proxy=${HTTP_PROXY-}}" "${https_proxy=${HTTPS_PROXY-}}" "${no_proxy=${NO_PROXY-}}"
export http_proxy https_proxy no_proxy

# is_excepted HOST: by no_proxy.
is_excepted() {
	for item in $(printf '%s' "$no_proxy" | tr ',' ' '); do
		case $item in
		'*') return ;;
		.*) case $1 in *"$item") return ;; esac ;;
		*) case $1 in "$item" | *".$item") return ;; esac ;;
		esac
	done
	return 1
}

# try URL: whether anything answers there. Whose certificate it shows is for containerd to judge.
try() {
	if command -v curl >/dev/null 2>&1; then
		said=$(curl -s -S -k -o /dev/null --connect-timeout 5 --max-time 10 "$1" 2>&1)
		return
	fi
	if ! command -v bash >/dev/null 2>&1 || ! command -v timeout >/dev/null 2>&1; then
		said='not checked'
		return 0
	fi
	rest=${1#*://}
	authority=${rest%%/*}
	case $1 in https:*) port=443 proxy=$https_proxy ;; *) port=80 proxy=$http_proxy ;; esac
	case $authority in *:*) port=${authority##*:} ;; esac
	server=${authority%:*}
	if [ -z "$proxy" ] || is_excepted "$server"; then
		# shellcheck disable=SC2016 # the inner bash expands these
		said=$(timeout 5 bash -c ': <"/dev/tcp/$0/$1"' "$server" "$port" 2>&1) && return
		said=${said##*: }
		said=${said:-timed out}
		return 1
	fi
	proxy=${proxy#*://}
	proxy=${proxy%/}
	account=
	case $proxy in *@*) account=$(printf '%s' "${proxy%@*}" | base64 | tr -d '\n') ;; esac
	proxy=${proxy##*@}
	case $proxy in *:*) ;; *) proxy=$proxy:80 ;; esac
	# shellcheck disable=SC2016 # the inner bash expands these
	said=$(printf '%s' "$account" | timeout 10 bash -c 'read -r account
		exec 3<>"/dev/tcp/$0/$1" || exit
		printf "CONNECT %s:%s HTTP/1.1\r\nHost: %s:%s\r\n" "$2" "$3" "$2" "$3" >&3
		[ -z "$account" ] || printf "Proxy-Authorization: Basic %s\r\n" "$account" >&3
		printf "\r\n" >&3
		read -r line <&3
		echo "the proxy says: $line"' "${proxy%:*}" "${proxy##*:}" "$server" "$port" 2>&1)
	case $said in *'HTTP/'*' 200'*) return 0 ;; esac
	said=${said:-the proxy does not answer}
	return 1
}

# registry NAME IMAGES URL...
registry() {
	name=$1
	lacking=
	for image in $(printf '%s' "$2" | tr ',' ' '); do
		case $nl$present$nl in *"$nl$image$nl"*) ;; *) lacking=yes ;; esac
	done
	if [ -z "$lacking" ]; then
		printf '%s needless\n' "$name"
		return
	fi
	shift 2
	for directory in $certs; do
		for place in "$directory/$name" "$directory/_default"; do
			if [ ! -e "$place/hosts.toml" ]; then continue; fi
			# shellcheck disable=SC2046 # an address a word
			set -- "$@" $(sed -n -e 's/^ *\[host\."\([^"]*\)"\].*/\1/p' \
				-e 's/^ *server *= *"\([^"]*\)".*/\1/p' "$place/hosts.toml")
			break
		done
	done
	why=
	for url; do
		case $url in *://*) ;; *) url=https://$url ;; esac
		case ${url#*://} in */*) ;; *) url=$url/v2/ ;; esac
		if try "$url"; then
			printf '%s open\n' "$name"
			return
		fi
		why="$why; $url: $(printf '%s' "$said" | tail -n 1)"
	done
	printf '%s closed %s\n' "$name" "${why#; }"
}

nl='
'
present=$(ctr -n k8s.io images ls -q 2>/dev/null || crictl images -q 2>/dev/null)
echo '@@clusterctl registries 1'
echo '@@section registries'
set -f
IFS=$nl
for line in $registries; do
	unset IFS
	# shellcheck disable=SC2086 # a word each
	registry $line </dev/null &
	IFS=$nl
done
unset IFS
wait
echo '@@end'
