#!/usr/bin/env bash
# Starts the daemon on an empty data directory, reads /metrics as Prometheus would, and checks it with promtool.
# Needs promtool (Debian: the package prometheus); PROMTOOL names another binary.
set -euo pipefail
cd "$(dirname "$0")/.."
promtool=${PROMTOOL:-promtool}
if ! command -v "$promtool" >/dev/null; then
  echo "metrics: $promtool is missing; install the package prometheus or set PROMTOOL" >&2
  exit 1
fi

work=$(mktemp -d)
pid=""
cleanup() {
  if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
    wait "$pid" || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

go build -o "$work/driftd" ./cmd/driftd
"$work/driftd" run --data-dir "$work/data" --listen 127.0.0.1:0 >"$work/log" 2>&1 &
pid=$!

# The daemon writes down where its page is once it listens.
url=""
for _ in $(seq 1 300); do
  if [ -f "$work/data/driftd.run.json" ]; then
    url=$(sed -n 's/.*"web_url"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$work/data/driftd.run.json")
    url=${url%/}
    [ -n "$url" ] && curl -fsS -o /dev/null "$url/-/ready" 2>/dev/null && break
  fi
  if ! kill -0 "$pid" 2>/dev/null; then
    break
  fi
  url=""
  sleep 0.1
done
if [ -z "$url" ]; then
  echo "metrics: the daemon was not ready within 30 s; its log:" >&2
  cat "$work/log" >&2
  exit 1
fi

curl -fsS "$url/metrics" >"$work/metrics"
own=$(grep -c '^driftd_' "$work/metrics" || true)
if [ "$own" -eq 0 ]; then
  echo "metrics: $url/metrics has no driftd_ series" >&2
  exit 1
fi
"$promtool" check metrics <"$work/metrics"
echo "metrics: $own driftd_ series, promtool has nothing to say"
