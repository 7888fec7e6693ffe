#!/usr/bin/env bash
# Builds the InfluxDB 1.8.10 of tools/influxd as bin/influxd, for the tests: it needs its Go module and nothing else. A
# second run takes a second or two.
set -euo pipefail
cd "$(dirname "$0")/.."
for try in 1 2 3; do
  go mod download -modfile=tools/influxd/go.mod && break
  if [ "$try" -eq 3 ]; then
    echo "influxd: the modules of tools/influxd cannot be fetched" >&2
    exit 1
  fi
  sleep $((try * 5))
done
version=$(go list -modfile=tools/influxd/go.mod -m -f '{{.Version}}' github.com/influxdata/influxdb)
CGO_ENABLED=0 go build -modfile=tools/influxd/go.mod -ldflags="-s -w -X main.version=${version#v}" -o bin/influxd \
  github.com/influxdata/influxdb/cmd/influxd
