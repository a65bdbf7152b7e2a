# Tells which ports of other machines this one reaches. Changes nothing.
#
# Set before this text: targets (words of address,port).

: "${targets=}"
PATH=$PATH:/usr/local/bin:/usr/bin:/bin

# Two seconds decide. Refused is as good as open: nothing listens yet, but
# nothing is in between.
probe() {
	address=${1%,*}
	port=${1##*,}
	case $tool in
	bash)
		# shellcheck disable=SC2016 # the inner bash expands these
		said=$(timeout 2 bash -c ': <"/dev/tcp/$0/$1"' "$address" "$port" 2>&1)
		status=$?
		;;
	nc)
		said=$(timeout 3 nc -z -v -w 2 "$address" "$port" 2>&1)
		status=$?
		;;
	curl)
		case $address in *:*) address="[$address]" ;; esac
		said=$(curl -s -S -v -o /dev/null --noproxy '*' --max-time 2 "http://$address:$port/" 2>&1)
		status=$?
		# Connected, but no HTTP there, or no answer in time.
		case $said in *' Connected to '*) status=0 ;; esac
		;;
	esac
	case $status,$said in
	0,*) verdict=open ;;
	*[Rr]efused*) verdict=refused ;;
	*'No route'* | *unreachable* | *prohibited*) verdict=unreachable ;;
	*) verdict=timeout ;;
	esac
	printf '%s %s\n' "$1" "$verdict"
}

tool=
for name in bash nc curl; do
	if command -v "$name" >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1; then
		tool=$name
		break
	fi
done

echo '@@clusterctl reach 1'
echo '@@section reach'
if [ -n "$tool" ]; then
	count=0
	for target in $targets; do
		probe "$target" </dev/null &
		count=$((count + 1))
		if [ $((count % 64)) -eq 0 ]; then wait; fi
	done
	wait
fi
echo '@@end'
