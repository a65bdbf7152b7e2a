# Tells how Kubernetes fares on this machine. Changes nothing.
#
# Set before this text: cri_socket, certificates_dir (absolute paths),
# virtual_address (or nothing).

: "${cri_socket=}" "${certificates_dir=}" "${virtual_address=}"
cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin

echo '@@clusterctl vitals 1'
echo '@@section units'
systemctl show -p Id,LoadState,ActiveState,UnitFileState -- \
	kubelet.service containerd.service crio.service 2>/dev/null

echo '@@section socket'
if [ -S ".$cri_socket" ]; then echo socket; fi

echo '@@section address'
if [ -n "$virtual_address" ] &&
	ip -o address show to "$virtual_address" 2>/dev/null | grep -q .; then echo held; fi

# A hung kubelet must not make the host look dead.
echo '@@section kubelet'
timeout 5 kubelet --version 2>/dev/null </dev/null | head -n 1

# Some of these files hold a key, too: nothing but the first certificate of
# each leaves the host.
for path in ".$certificates_dir"/*.crt ".$certificates_dir"/etcd/*.crt \
	./var/lib/kubelet/pki/kubelet-client-current.pem \
	./var/lib/kubelet/pki/kubelet-server-current.pem ./var/lib/kubelet/pki/kubelet.crt; do
	if [ -f "$path" ]; then
		printf '@@section certificate %s\n' "$path"
		sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p' "$path" |
			sed '/-----END CERTIFICATE-----/q' | head -c 16384
	fi
done
for path in ./etc/kubernetes/*.conf; do
	if [ -f "$path" ]; then
		printf '@@section kubeconfig %s\n' "$path"
		sed -n 's/^ *client-certificate-data: *//p' "$path" | head -n 1 | head -c 16384
	fi
done

echo
echo '@@end'
