#!/usr/bin/env bash
# The test command of the README: fetches what the tests need and runs every test. Go is all it takes: the broker is the
# real nats-server and the store the real SQLite, both compiled into the tests at the versions of go.mod. A server that
# cannot be compiled in is built here, from a nested module under tools/. Arguments go to `go test`.
set -euo pipefail
cd "$(dirname "$0")/.."

# A module proxy fails now and then; a test run should not.
for try in 1 2 3; do
  go mod download && break
  if [ "$try" -eq 3 ]; then
    echo "test: the modules of go.mod cannot be fetched" >&2
    exit 1
  fi
  sleep $((try * 5))
done

scripts/influxd.sh
scripts/alertmanager.sh

packages=(./...)
limit=30m # a package that hangs; the slowest took 8 minutes on a slow machine
case " $* " in
*" -race "*)
  # Half an hour of arithmetic in packages where nothing runs beside anything: internal/archtest lets them start no goroutine. And
  # e2e and internal/chaos: what runs beside anything in them are processes of their own, which are built without the detector.
  limit=1h
  mapfile -t packages < <(go list ./... | grep -vE '/(detectors|internal/stat(/.*)?|e2e|internal/chaos)$')
  ;;
esac

exec go test -timeout "$limit" "$@" "${packages[@]}"
