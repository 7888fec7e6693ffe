#!/usr/bin/env bash
# Builds the Dockerfile as it is and runs the image, where there is no Docker engine and perhaps no registry: buildah builds, podman and
# runc run. The two base images are stand-ins that are made here: golang is a Debian of debootstrap with this machine's Go, whose modules come
# from this machine's module cache; distroless is a passwd, a group, a CA bundle and a /tmp. So it checks the steps of the Dockerfile and how the
# image behaves, not the real base images.
#
# Needs root, and of Debian: buildah podman runc debootstrap. Images are kept apart from the machine's, in IMAGE_DIR (default /tmp/driftd-image).
set -euo pipefail
cd "$(dirname "$0")/.."
for command in buildah podman runc debootstrap; do
  command -v "$command" >/dev/null || { echo "image: $command is missing; apt-get install buildah podman runc debootstrap" >&2; exit 1; }
done
[ "$(id -u)" -eq 0 ] || { echo "image: debootstrap and an isolation by chroot need root" >&2; exit 1; }

work=${IMAGE_DIR:-${TMPDIR:-/tmp}/driftd-image} # not in the tree: it holds the sources of Go
version=$(git describe --tags --always --dirty 2>/dev/null || echo dev)
image=localhost/driftd:check
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver "${STORAGE_DRIVER:-vfs}")
mkdir -p "$work"
pids=()
cleanup() {
  for pid in "${pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null && wait "$pid" || true
  done
}
trap cleanup EXIT
say() { echo "image: $* ($SECONDS s)"; }

b() { buildah "${storage[@]}" "$@"; }

go mod download
modules=$(go env GOMODCACHE)
# The names that the Dockerfile gives its bases.
read -r golang distroless < <(awk '/^FROM/ {printf "%s ", $2} END {print ""}' Dockerfile)

if [ ! -e "$work/rootfs/.done" ]; then
  rm -rf "$work/rootfs"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/rootfs" >"$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; exit 1; }
  touch "$work/rootfs/.done"
fi
say "Debian is there"
if ! b inspect --type image "docker.io/library/$golang" >/dev/null 2>&1; then
  c=$(b from scratch)
  b add --quiet "$c" "$work/rootfs" / >/dev/null
  b add --quiet "$c" "$(go env GOROOT)" /usr/local/go >/dev/null
  b config --env PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin --env GOTOOLCHAIN=local --env GOPROXY=file:///modules --env GOCACHE=/compiled --env GOFLAGS=-buildvcs=false "$c"
  b commit --quiet --rm "$c" "docker.io/library/$golang" >/dev/null
fi
say "$golang is there"
if ! b inspect --type image "$distroless" >/dev/null 2>&1; then
  rm -rf "$work/static"
  mkdir -p "$work/static/etc/ssl/certs" "$work/static/tmp"
  printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$work/static/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$work/static/etc/group"
  cp "$work/rootfs/etc/ssl/certs/ca-certificates.crt" "$work/static/etc/ssl/certs/"
  chmod 1777 "$work/static/tmp"
  c=$(b from scratch)
  b add --quiet "$c" "$work/static" / >/dev/null
  b config --user 65532:65532 --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "$c"
  b commit --quiet --rm "$c" "$distroless" >/dev/null
fi
say "$distroless is there"

b bud --quiet --isolation chroot --pull-never --network host --volume "$modules/cache/download:/modules:ro" --volume "$(go env GOCACHE):/compiled" \
  --build-arg VERSION="$version" -t "$image" -f Dockerfile . >/dev/null
say "the Dockerfile is built"

# As tightly as an operator may run it: no root, nothing writable but the volume, no capabilities, no new privileges.
pod() { podman "${storage[@]}" --runtime runc --cgroup-manager cgroupfs "$@"; }
run() { pod run --rm --pull=never --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --read-only --cap-drop=all --security-opt no-new-privileges "$@"; }
fail() { echo "image: $*" >&2; exit 1; }

config=$(b inspect --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.Volumes}} {{.OCIv1.Config.ExposedPorts}}' "$image")
say "user, entry point, command, volumes, ports: $config"
[[ $config == nonroot* ]] || fail "it does not run as nonroot"
said=$(run --network none "$image" version)
grep -qF "$version" <<<"$said" || fail "version says $said, want $version"

# The daemon of compose.yaml with a broker beside it, and its three jobs: the log of the demo, its reference, its replay.
go build -o "$work/nats-server" github.com/nats-io/nats-server/v2
rm -rf "$work/jetstream"
port=$((20000 + RANDOM % 10000))
"$work/nats-server" -a 127.0.0.1 -p "$port" -js -sd "$work/jetstream" >"$work/nats.log" 2>&1 &
pids+=($!)
cat >"$work/driftd.yaml" <<YAML
nats: {url: "nats://127.0.0.1:$port"}
data_dir: /data
web: {listen: "127.0.0.1:$((port + 1))"}
models: {flight-delay: {reference: flights-january, windows: [{size: 1d}]}}
YAML
chmod 644 "$work/driftd.yaml"
pod volume rm --force driftd-check >/dev/null 2>&1 || true
job() { run --network host --volume "$work/driftd.yaml:/etc/driftd/driftd.yaml:ro" --volume driftd-check:/data "$image" "$@"; }
job check --config /etc/driftd/driftd.yaml
job run --config /etc/driftd/driftd.yaml >"$work/driftd.log" 2>&1 &
daemon=$!
pids+=("$daemon")
url=http://127.0.0.1:$((port + 1))
for try in $(seq 1 60); do
  job health --url "$url" >"$work/health.log" 2>&1 && break
  [ "$try" -lt 60 ] || { cat "$work/health.log" "$work/driftd.log" >&2; fail "driftd is not ready"; }
  sleep 1
done
say "driftd is ready"
job demo --logs /data/flights
job reference create --config /etc/driftd/driftd.yaml --from /data/flights/january.ndjson --name flights-january --model flight-delay
job replay --config /etc/driftd/driftd.yaml --speed 0 /data/flights/february-to-june.ndjson
for try in $(seq 1 60); do
  results=$(curl -fsS "$url/metrics" | sed -n 's/^driftd_window_results_total //p')
  [ "${results:-0}" -ge 100 ] && break
  [ "$try" -lt 60 ] || fail "only ${results:-0} windows were judged"
  sleep 1
done
say "$results windows were judged"
pid=$(pod ps --quiet --filter ancestor="$image")
pod kill --signal TERM "$pid" >/dev/null
wait "$daemon" || { tail -20 "$work/driftd.log" >&2; fail "driftd ended with exit code $? after SIGTERM"; }
pids=("${pids[0]}")
say "driftd stopped with exit code 0"
