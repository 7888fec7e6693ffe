#!/usr/bin/env bash
# The test command of the README: builds the real servers that the tests start, each from a nested tool module of its
# own (tools/NAME/go.mod pins the version), then runs every test. Needs Go alone. Arguments go to `go test`.
set -euo pipefail
cd "$(dirname "$0")/.."

# build NAME PACKAGE VARIABLE: build a server into bin/servers and tell the tests by an environment variable where it is.
build() {
  local name=$1 package=$2 variable=$3 out
  out=$PWD/bin/servers/$name
  if [ ! -f "tools/$name/go.mod" ]; then
    return 0
  fi
  if [ ! -x "$out" ] || [ "tools/$name/go.mod" -nt "$out" ]; then
    echo "test: building $name"
    CGO_ENABLED=0 go build -modfile="tools/$name/go.mod" -trimpath -o "$out" "$package"
  fi
  export "$variable=$out"
}

build nats-server github.com/nats-io/nats-server/v2 DRIFTD_TEST_NATS_SERVER

exec go test -timeout 15m "$@" ./...
