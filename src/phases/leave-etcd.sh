# Lets members leave etcd, one after the other, as seen from a member that
# stays. etcd itself refuses what would cost its quorum.
#
# Set before this text: names (words), pki (directory of etcd's certificates),
# socket (of the container runtime).

: "${names=}" "${pki=}" "${socket=}"
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# The tool is in etcd's own image, and the certificates are mounted there.
if command -v crictl >/dev/null 2>&1; then
	id=$(timeout 20 crictl -r "unix://$socket" ps -q --state running --name '^etcd$' 2>/dev/null </dev/null | head -n 1)
	inside() { timeout 60 crictl -r "unix://$socket" exec "$id" "$@" </dev/null; }
else
	id=$(timeout 20 ctr -a "$socket" -n k8s.io containers ls -q \
		'labels."io.kubernetes.container.name"==etcd' 2>/dev/null </dev/null | head -n 1)
	inside() { timeout 60 ctr -a "$socket" -n k8s.io tasks exec --exec-id "clusterctl-$$" "$id" "$@" </dev/null; }
fi

etcdctl() {
	inside etcdctl --endpoints https://127.0.0.1:2379 --command-timeout 20s \
		--cacert "$pki/ca.crt" --cert "$pki/healthcheck-client.crt" --key "$pki/healthcheck-client.key" "$@" 2>&1
}

echo '@@clusterctl leave-etcd 1'
if [ -z "$id" ]; then
	echo '@@silent etcd does not run here'
elif members=$(etcdctl member list -w simple); then
	for name in $names; do
		number=$(printf '%s\n' "$members" | sed -n "s/^\([0-9a-f]*\), [a-z]*, $name, .*/\1/p")
		if [ -z "$number" ]; then
			printf '@@gone %s\n' "$name"
		elif said=$(etcdctl member remove "$number"); then
			printf '@@gone %s\n' "$name"
		else
			printf '@@refused %s %s\n' "$name" "$(printf '%s' "$said" | tail -n 1)"
		fi
	done
else
	printf '@@silent %s\n' "$(printf '%s' "$members" | tail -n 1)"
fi
echo '@@end'
