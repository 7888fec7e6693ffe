#!/usr/bin/env bash
# Builds the Dockerfile as it stands and runs the image as it should be run: no rights, a root that cannot be written, only /data
# kept. It needs neither a Docker daemon nor an image registry: buildah builds and podman runs, and the two base images are made
# here, under their real names in a storage of their own: the Go of this machine on busybox, and a root with a user and certificates.
# So the Dockerfile's steps are checked, and not the base images. Needs root, and Debian's buildah, podman, runc, busybox-static.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=""
for tool in buildah podman runc busybox; do
  command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ "$(id -u)" -eq 0 ] || missing="$missing root"
if [ -n "$missing" ]; then
  echo "image: not checked, this is missing:$missing (apt-get install buildah podman runc busybox-static)" >&2
  [ "${CI:-}" != true ]
  exit
fi

work=$(mktemp -d)
store=(--root "$work/storage" --runroot "$work/run")
run=(podman "${store[@]}" --runtime runc)
version=0.0.0-check
name=driftd-check-$$
cleanup() {
  "${run[@]}" rm -f -t 5 -v "$name" >/dev/null 2>&1 || true
  buildah "${store[@]}" rm --all >/dev/null 2>&1 || true
  umount "$work"/storage/overlay 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() {
  echo "image: $*" >&2
  "${run[@]}" logs "$name" >&2 2>/dev/null || true
  exit 1
}

ca=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
users() { # DIR: what both images have of users and certificates
  mkdir -p "$1/etc/ssl/certs" "$1/tmp"
  chmod 1777 "$1/tmp"
  printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$1/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$1/etc/group"
  cp "$ca" "$1/etc/ssl/certs/ca-certificates.crt"
}

echo "image: making stand-ins for the base images"
users "$work/build"
mkdir -p "$work/build/bin" "$work/build/root"
busybox --install "$work/build/bin"
c=$(buildah "${store[@]}" from scratch)
buildah "${store[@]}" add -q "$c" "$work/build" / >/dev/null
buildah "${store[@]}" add -q "$c" "$(go env GOROOT)" /usr/local/go >/dev/null
buildah "${store[@]}" config --env PATH=/usr/local/go/bin:/bin --env GOTOOLCHAIN=local --env GOPATH=/go --env HOME=/root "$c"
buildah "${store[@]}" commit -q --rm "$c" docker.io/library/golang:1.26 >/dev/null
users "$work/base"
c=$(buildah "${store[@]}" from scratch)
buildah "${store[@]}" add -q "$c" "$work/base" / >/dev/null
buildah "${store[@]}" config --user 65532:65532 "$c"
buildah "${store[@]}" commit -q --rm "$c" gcr.io/distroless/static-debian12:nonroot >/dev/null

echo "image: building the Dockerfile"
mkdir -p "$(go env GOMODCACHE)" "$(go env GOCACHE)"
buildah "${store[@]}" bud --quiet --format docker --isolation chroot --pull-never --network host --build-arg "VERSION=$version" \
  --volume "$(go env GOMODCACHE):/go/pkg/mod" --volume "$(go env GOCACHE):/root/.cache/go-build" -t localhost/driftd:check -f Dockerfile . >/dev/null

start() { # [NAME=VALUE…] ARGS: a container that may do nothing but write /data
  "${run[@]}" run --pull=never --network host --read-only --cap-drop=all --security-opt no-new-privileges \
    --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@"
}
said=$(start --rm localhost/driftd:check version)
case $said in
  *"$version"*) ;;
  *) fail "version prints \"$said\", want $version" ;;
esac

for round in first second; do # on the same volume
  start -d --name "$name" -v "$name:/data" localhost/driftd:check >/dev/null
  for _ in $(seq 1 60); do
    "${run[@]}" exec "$name" /usr/local/bin/driftd health --data-dir /data >"$work/health" 2>&1 && break
    sleep 0.5
  done
  grep -q '^ready: ' "$work/health" || fail "not ready within 30 s at its $round start: $(cat "$work/health")"
  "${run[@]}" healthcheck run "$name" >/dev/null || fail "the HEALTHCHECK of the image fails where driftd health does not"
  uid=$(ps -o uid= -p "$("${run[@]}" inspect -f '{{.State.Pid}}' "$name")" | tr -d ' ')
  [ "$uid" = 65532 ] || fail "it runs as user $uid, want 65532"
  "${run[@]}" stop -t 30 "$name" >/dev/null
  code=$("${run[@]}" inspect -f '{{.State.ExitCode}}' "$name")
  [ "$code" = 0 ] || fail "stopped with exit code $code, want 0"
  "${run[@]}" rm "$name" >/dev/null
done
"${run[@]}" volume rm "$name" >/dev/null

size=$("${run[@]}" image inspect -f '{{.Size}}' localhost/driftd:check)
echo "image: built, ready twice on one volume as user 65532 with a read-only root, stopped with 0; $((size / 1000000)) MB; its base images were stand-ins"
