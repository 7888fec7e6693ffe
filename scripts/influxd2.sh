#!/usr/bin/env bash
# Builds the InfluxDB 2.7 of tools/influxd2 as bin/influxd2. Its query language is partly Rust, so it needs gcc, cargo and
# rustc (1.95 works) beside Go, takes about seven minutes the first time and seconds after that. Tests do not need it:
# `make test-influx2` runs the suite of InfluxDB against it.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || { echo "influxd2: cargo is missing: install Rust" >&2; exit 1; }
mkdir -p bin/influxd2-build
here=$PWD/bin/influxd2-build
# A pkg-config that builds the Rust part from the module's own source.
GOBIN=$here go install github.com/influxdata/pkg-config@v0.2.14
# That source forbids warnings, and compilers have learned new ones since.
printf '#!/bin/sh\nrustc=$1\nshift\nexec "$rustc" "$@" --cap-lints allow\n' >"$here/rustc-wrapper"
chmod +x "$here/rustc-wrapper"
version=$(go list -modfile=tools/influxd2/go.mod -m -f '{{.Version}}' github.com/influxdata/influxdb/v2)
RUSTC_WRAPPER=$here/rustc-wrapper RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-stable} PKG_CONFIG=$here/pkg-config CGO_ENABLED=1 \
  go build -modfile=tools/influxd2/go.mod -ldflags="-s -w -X main.version=${version#v}" -o bin/influxd2 \
  github.com/influxdata/influxdb/v2/cmd/influxd
