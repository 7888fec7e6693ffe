# Everything that a contributor runs, by name; `make` alone lists it. What CI runs is .ci/run (`make ci`).

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 30s
PYTHON   ?= python3
LINT     := $(GO) tool -modfile=tools/golangci-lint/go.mod golangci-lint

.DEFAULT_GOAL := help
.PHONY: help build test race test-influx2 lint fmt fuzz simulate bench bench-analyze bench-influx bench-wire bench-growth bench-latency bench-catchup bench-start bench-memory bench-labels bench-profile verify-conventions bench-quiet bench-sequential soak chaos generate figures screenshots dashboards metrics ci docker image-check clean

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/driftd, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/driftd ./cmd/driftd

test: ## run every test, against the real broker and store (under 10 minutes on two cores)
	scripts/test.sh

race: ## run the tests under the race detector, in random order and with fewer random cases
	scripts/test.sh -race -short -shuffle=on

test-influx2: ## run the tests of InfluxDB against a 2.7 built from source (needs Rust; its first build takes minutes)
	scripts/influxd2.sh
	INFLUXD="$(CURDIR)/bin/influxd2" $(GO) test -count=1 ./influx

lint: ## run golangci-lint, pinned in tools/golangci-lint (its first run compiles it: some minutes)
	$(LINT) run ./...

fmt: ## format the Go code as lint wants it
	$(LINT) fmt ./...

fuzz: ## fuzz every target for FUZZTIME each (default 30s)
	scripts/fuzz.sh $(FUZZTIME)

simulate: ## try SCHEDULES random schedules of the core (default 100000) against an oracle, or replay and shrink one (SEED=n)
	$(GO) test ./fold -run '^TestSimulation$$' -count=1 -timeout 2h -v $(if $(SEED),-seed $(SEED),-schedules $(or $(SCHEDULES),100000))

bench: ## run the benchmarks (BENCH=pattern, COUNT=n)
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem -count $(or $(COUNT),1) ./...

soak: ## run the daemon for DURATION (default 1h) at a steady rate: is what it takes flat, what it counts exact?
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/driftd ./cmd/driftd
	$(GO) run ./internal/soak --driftd bin/driftd --duration $(or $(DURATION),1h) $(SOAKFLAGS)

chaos: ## kill brokers and daemons for DURATION (default 10m) and compare with an undisturbed reading (SEED=n); figures in build/chaos.json
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/driftd ./cmd/driftd
	$(GO) build -o build/chaos ./internal/chaos
	build/chaos --driftd bin/driftd --duration $(or $(DURATION),10m) --seed $(or $(SEED),0) --out build/chaos.json $(CHAOSFLAGS)

bench-analyze: build ## measure driftd analyze against SciPy on 1M × 20, installed in a venv (PYTHON=python3.11 or newer; minutes)
	test -x bin/bench-venv/bin/python || $(PYTHON) -m venv bin/bench-venv
	bin/bench-venv/bin/python -m pip install --quiet --disable-pip-version-check -r bench/analyze/requirements.txt
	$(GO) run ./bench/analyze -driftd bin/driftd -python bin/bench-venv/bin/python

bench-influx: ## measure points a second from the outbox into InfluxDB, as a ratio to the same lines sent raw
	scripts/influxd.sh
	$(GO) test ./app -run '^$$' -bench InfluxSink -benchtime $(or $(COUNT),6)x

bench-wire: build ## measure driftd against a consumer that throws every message away (QUICK=1: a minute or two, WIREFLAGS); build/bench-wire.json
	$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
	$(GO) run ./bench/wire $(if $(QUICK),-quick) $(WIREFLAGS)

bench-growth: build ## measure the growth with features, models and events seen (minutes; IMAGES=docs/images draws it); build/bench-growth.json, bench-long.json
	$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
	$(GO) run ./bench/wire -measure growth -seconds 3 -images '$(IMAGES)' $(WIREFLAGS)
	$(GO) run ./bench/wire -measure long -images '$(IMAGES)' $(WIREFLAGS)

bench-latency: build ## measure the time from publishing to counting at half of the maximum rate; build/bench-latency.json
	$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
	$(GO) run ./bench/wire -measure latency -seconds 3 $(WIREFLAGS)

bench-catchup: build ## measure how long a partition's messages wait while another one is a million events behind; build/bench-catchup.json
	$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
	$(GO) run ./bench/wire -measure catchup $(WIREFLAGS)

bench-start: build ## measure the time until driftd run is ready, with states of several sizes; build/bench-start.json
	$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
	$(GO) run ./bench/wire -measure start $(WIREFLAGS)

bench-memory: build ## measure what 100 models of 1,000 features hold (up to 4 GB), and the daemon under GOMEMLIMIT; build/bench-memory.json, bench-memlimit.json
	$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
	$(GO) run ./bench/wire -measure memory $(WIREFLAGS)
	$(GO) run ./bench/wire -measure memlimit $(WIREFLAGS)

bench-labels: ## measure the join at 1M waiting predictions: puts and labels a second, memory, disk, the time to make a lost cache again (PENDING=n)
	$(GO) test ./e2e -run '^$$' -bench '^BenchmarkLabels$$' -benchtime 1x -timeout 1h -args -pending $(or $(PENDING),1000000)

bench-profile: ## write CPU and heap profiles of decoding and counting to build (read them with go tool pprof)
	mkdir -p build
	$(GO) test ./fold -run '^$$' -bench Events -benchtime 3s -cpuprofile build/cpu.pprof -memprofile build/heap.pprof -o build/fold.test
	$(GO) tool pprof -top -nodecount 25 build/fold.test build/cpu.pprof

bench-quiet: ## how often and how soon driftd and other tools alarm, without drift and with it (QUICK=1: about a minute)
	$(GO) run ./bench/quiet $(if $(QUICK),-quick) $(QUIETFLAGS)

bench-sequential: ## how often a comparison of versions errs when it is read at every window, what that costs, and the change detectors (QUICK=1)
	$(GO) run ./bench/sequential $(if $(QUICK),-quick)

verify-conventions: build ## compare analyze --convention with the tools themselves, from PyPI (PYTHON=python3.11; minutes)
	$(GO) run ./bench/conventions -driftd bin/driftd -python $(PYTHON)

figures: ## draw docs/images/cbpe-*.svg, estimated against realised quality, from ../shared/data
	$(GO) run ./bench/cbpe -images docs/images

generate: ## regenerate what is generated: schemas, tables in docs
	$(GO) generate ./...

screenshots: ## take the pictures of docs/images from the demo's page, in Chromium
	rm -f docs/images/[!d]*.png
	$(GO) test ./e2e -run '^TestScreenshots$$' -count=1 -args -screenshots "$(CURDIR)/docs/images"

dashboards: ## run every query of the dashboards, draw what they return, and list the rows in docs/dashboards.md
	scripts/influxd.sh
	$(GO) test ./e2e -run '^TestDashboards$$' -count=1 -args -dashboards "$(CURDIR)/docs/images"

metrics: ## start the daemon and check its /metrics with promtool
	scripts/check-metrics.sh

ci: ## run all that CI runs
	bash .ci/run

docker: ## build the container image driftd:VERSION
	docker build --build-arg VERSION=$(VERSION) -t driftd:$(VERSION) .

image-check: ## build the Dockerfile and run the image without a Docker engine, on stand-ins for its base images (needs root, buildah, podman)
	scripts/image.sh

clean: ## remove what was built
	rm -rf bin dist
