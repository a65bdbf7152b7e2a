#!/usr/bin/env bash
# Chooses the Kubernetes components of a demo, a test or a benchmark, and prints
# one line: their kind (real or standin), their version, their directory, and why.
#
#   artifacts.sh            make the directory: downloaded, or of stand-ins
#   artifacts.sh --kind     only look; the directory may not be there yet
#   artifacts.sh --images   the directory holds the images, too: many hosts that
#                           come and go do not pull them each (needs skopeo)
#   artifacts.sh --real     real ones, or fail
#
# The first of these that there is:
#   1. $CLUSTERCTL_ARTIFACTS, a directory
#   2. downloads of version $CLUSTERCTL_KUBERNETES_VERSION (v1.36.2), if every
#      site responds. Mirrors and a registry can take the place of the upstream
#      ones:
#        CLUSTERCTL_MIRROR_KUBERNETES, CLUSTERCTL_MIRROR_CNI_PLUGINS,
#        CLUSTERCTL_MIRROR_CRI_TOOLS   base URLs
#        CLUSTERCTL_CHECKSUMS          a file of the mirrors' SHA-256, if what they
#                                      have is not what the publishers released
#        CLUSTERCTL_IMAGE_REPOSITORY   registry[/path]; http://registry[/path] if it
#                                      does not speak TLS
#      With CI set, only if all of them are named: a public site that is slow must
#      not decide about a build.
#   3. the newest version in the cache of downloads, ~/.cache/clusterctl-rs
#   4. the stand-ins (standins/)
set -euo pipefail
shopt -s inherit_errexit

top=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clusterctl-rs
# Seconds for all sites together, since they are asked in parallel.
patience=4

die() { printf 'artifacts: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }

case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) die "no Kubernetes for $(uname -m)" ;;
esac

### a directory that is there ################################################

# Components say their version themselves: a directory's name may lie.
version_of() { "$1/linux-$arch/kubelet" --version | awk '{print $2}'; }

# Stand-ins answer as the real ones do, but each copy ends in this mark.
kind_of() {
  if tail -c 64 "$1/linux-$arch/kubelet" | grep -aq standin-release: 2>/dev/null; then
    echo standin
  else
    echo real
  fi
}

has_images() { compgen -G "$1/linux-$arch/images/*.tar" >/dev/null; }

# Nodes pull images that the directory does not hold. So a cache without
# images will do where their registry can be reached, and nowhere else.
newest_in_cache() {
  local dir
  for dir in $(printf '%s\n' "$cache"/v* | sort -Vr); do
    [[ -x $dir/linux-$arch/kubelet && -x $dir/linux-$arch/kubectl && -s $dir/SHA256SUMS ]] || continue
    ! has_images "$dir" || { echo "$dir"; return; }
    [[ ${CI:-} ]] || ! reaches "$(registry_url)" registry || { echo "$dir"; return; }
  done
}

### downloads ################################################################

mirror() {
  local variable=CLUSTERCTL_MIRROR_$1
  printf '%s' "${!variable:-$2}"
}

kubernetes_site() { mirror KUBERNETES https://dl.k8s.io; }
cni_site() { mirror CNI_PLUGINS https://github.com/containernetworking/plugins/releases/download; }
cri_site() { mirror CRI_TOOLS https://github.com/kubernetes-sigs/cri-tools/releases/download; }

registry=${CLUSTERCTL_IMAGE_REPOSITORY:-registry.k8s.io}
registry_url() {
  local url=$registry scheme rest
  [[ $url = *://* ]] || url=https://$url
  scheme=${url%%://*} rest=${url#*://}
  printf '%s://%s/v2/' "$scheme" "${rest%%/*}"
}

# Succeeds if a file is there, a registry responds (it may want credentials for a
# mere look), or a site does (at its top is nothing).
reaches() {
  local code head=()
  [[ $2 = registry ]] || head=(--head)
  code=$(curl -sSL -m "$patience" -o /dev/null -w '%{http_code}' "${head[@]}" -- "$1" 2>/dev/null) || return 1
  case $2 in
    file) [[ $code = 2* ]] ;;
    registry) [[ $code = 2* || $code = 401 ]] ;;
    site) [[ $code = [234]* ]] ;;
  esac
}

# Prints what does not respond, if anything; asks all at the same time.
unreachable() {
  local dir kind url job i=0 jobs=()
  dir=$(mktemp -d)
  while read -r kind url; do
    { reaches "$url" "$kind" || echo "$url" >"$dir/$i"; } &
    jobs+=($!)
    ((++i))
  done <<LIST
file $(kubernetes_site)/$version/bin/linux/$arch/kubelet
site $(cni_site)
site $(cri_site)
registry $(registry_url)
LIST
  for job in "${jobs[@]}"; do wait "$job"; done
  cat "$dir"/* 2>/dev/null || :
  rm -rf "$dir"
}

# Why nothing can be downloaded; empty if it can.
obstacle() {
  local missing name all=yes down
  for name in MIRROR_KUBERNETES MIRROR_CNI_PLUGINS MIRROR_CRI_TOOLS IMAGE_REPOSITORY; do
    name=CLUSTERCTL_$name
    [[ ${!name:-} ]] || all=no
  done
  if [[ ${CI:-} && $all = no ]]; then
    echo "CI is set, and no CLUSTERCTL_MIRROR_* and CLUSTERCTL_IMAGE_REPOSITORY name mirrors"
    return
  fi
  case $(registry_url) in
    *://localhost[:/]* | *://127.* | *://\[::1\]*)
      echo "CLUSTERCTL_IMAGE_REPOSITORY is on this machine's loopback, which hosts cannot reach"
      return ;;
  esac
  command -v curl >/dev/null || { echo "curl, which finds out what can be reached, is not installed"; return; }
  down=$(unreachable)
  missing=${down//$'\n'/, }
  [[ -z $missing ]] || echo "no response from $missing"
}

# What is downloaded depends on where from: a mirror may have builds of its own.
downloads_dir() {
  local key
  key=$(
    { kubernetes_site; cni_site; cri_site; echo "$registry"; cat -- "${CLUSTERCTL_CHECKSUMS:-/dev/null}"; } |
      sha256sum | cut -c 1-8
  )
  printf '%s/downloads/%s-%s' "$target" "$version" "$key"
}

program() {
  local found
  for found in "$target/debug/clusterctl-rs" "$target/release/clusterctl-rs" ''; do
    [[ ! -x $found ]] || break
  done
  [[ $found ]] || die "clusterctl-rs is not built: run cargo build --locked"
  printf '%s' "$found"
}

# Downloads to the cache, verified by clusterctl-rs itself, and from there to $1.
download() {
  local clusterctl checksums=''
  clusterctl=$(program)
  mkdir -p "$target/downloads"
  [[ -z ${CLUSTERCTL_CHECKSUMS:-} ]] ||
    checksums=", checksumsFile: '$(realpath -e -- "$CLUSTERCTL_CHECKSUMS")'"
  cat >"$1.yaml" <<YAML
apiVersion: clusterctl.rs/v1alpha1
kind: Cluster
metadata: {name: downloads}
spec:
  kubernetesVersion: $version
  artifacts: {mirrors: {kubernetes: '$(kubernetes_site)', cniPlugins: '$(cni_site)', criTools: '$(cri_site)'}$checksums}
  # Not connected to: only the version and the mirrors count.
  hosts: [{name: unused, address: 192.0.2.1, roles: [control-plane, worker]}]
YAML
  "$clusterctl" artifacts fetch "$1.yaml" --out "$1" --output json >"$1.json"
  [[ $with_images = no ]] || save_images "$1"
}

# Saves what is listed as missing, under the names that clusters use by default.
save_images() {
  local image from file tls=true
  command -v skopeo >/dev/null || die "skopeo is not installed: run lab/packages.sh --test"
  [[ $registry != http://* ]] || tls=false
  mkdir -p "$1/linux-$arch/images"
  grep -o '"registry.k8s.io/[^"]*"' "$1.json" | tr -d '"' >"$1.images" || :
  # The balancers of the tests; where there are none, those tests fail and say so.
  printf '%s\n' docker.io/library/haproxy:3.2.19-alpine ghcr.io/kube-vip/kube-vip:v1.0.4 >>"$1.images"
  while read -r image; do
    file=$1/linux-$arch/images/$(basename "${image%:*}").tar
    [[ ! -s $file ]] || continue
    from=$image
    if [[ ${CLUSTERCTL_IMAGE_REPOSITORY:-} ]]; then
      # As kubeadm has it: only the last part of the name, below the repository. A mirror
      # may have upstream's names instead.
      from=${registry#*://}/$(basename "$image")
      skopeo inspect --raw --tls-verify="$tls" "docker://$from" >/dev/null 2>&1 ||
        from=${registry#*://}/${image#*/}
    fi
    printf 'artifacts: saving %s\n' "$from" >&2
    if ! skopeo copy --quiet --override-arch "$arch" --override-os linux --src-tls-verify="$tls" \
      "docker://$from" "docker-archive:$file.new:$image" >&2; then
      rm -f "$file.new"
      [[ $image != registry.k8s.io/* ]] || die "cannot save $from"
      printf 'artifacts: warning: cannot save %s; clusters with that load balancer will not come up\n' "$from" >&2
      continue
    fi
    mv "$file.new" "$file"
  done <"$1.images"
  (cd "$1" && find linux-* -type f ! -name '*.new' -exec sha256sum {} + | sort -k 2 >SHA256SUMS)
}

### stand-ins ################################################################

make_standins() {
  local program=$target/debug/standin
  [[ -x $program ]] || die "the stand-ins are not built: run cargo build --package clusterctl-standins"
  mkdir -p "$target/standins"
  [[ ! $1/SHA256SUMS -nt $program ]] || return 0
  rm -rf "$1" "$1.new"
  "$program" artifacts --version "$2" --out "$1.new" >&2
  # Dated now: newer than the program, whatever the program gave it.
  touch "$1.new/SHA256SUMS"
  mv "$1.new" "$1"
}

### which ####################################################################

kind_only=no real_only=no with_images=no
for option in "$@"; do
  case $option in
    --kind) kind_only=yes ;;
    --images) with_images=yes ;;
    --real) real_only=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
version=${CLUSTERCTL_KUBERNETES_VERSION:-v1.36.2}
[[ -z ${CLUSTERCTL_CHECKSUMS:-} || -r $CLUSTERCTL_CHECKSUMS ]] ||
  die "CLUSTERCTL_CHECKSUMS: cannot read $CLUSTERCTL_CHECKSUMS"

make=:
if [[ -n ${CLUSTERCTL_ARTIFACTS:-} ]]; then
  dir=$(realpath -m -- "$CLUSTERCTL_ARTIFACTS")
  [[ -x $dir/linux-$arch/kubelet ]] || die "CLUSTERCTL_ARTIFACTS: $dir/linux-$arch/kubelet does not exist"
  version=$(version_of "$dir")
  kind=$(kind_of "$dir")
  why="because CLUSTERCTL_ARTIFACTS names it"
elif why=$(obstacle); [[ -z $why ]]; then
  kind=real
  dir=$(downloads_dir)
  make=download
  why="downloaded from $(kubernetes_site), images from ${registry#*://}"
elif dir=$(newest_in_cache); [[ -n $dir ]]; then
  version=$(version_of "$dir")
  kind=$(kind_of "$dir")
  why="from the cache: $why"
else
  kind=standin
  version=${STANDIN_VERSION:-$version}
  dir=$target/standins/$version
  make=make_standins
fi

[[ $real_only = no || $kind = real ]] ||
  die "no real Kubernetes components found ($why): set CLUSTERCTL_ARTIFACTS" \
    "to a directory of them (CONTRIBUTING.md says what is in it), or name mirrors"
if [[ $kind_only = no && $make != : ]]; then
  # Whoever comes second waits, and finds them made.
  mkdir -p "$target"
  exec 9>"$target/artifacts.lock"
  flock 9
  $make "$dir" "$version"
fi
printf '%s %s %s %s\n' "$kind" "$version" "$dir" "$why"
