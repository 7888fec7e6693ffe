# driftd as a static binary on an image without a shell, run by a user without rights. `make docker-check` builds and runs it.
#   docker build --build-arg VERSION=$(git describe --tags --always) -t driftd .
#   docker run --read-only -v driftd-data:/data driftd
# With a page for other machines, the configuration names authentication (docs/operations.md, Containers):
#   docker run --read-only -v driftd-data:/data -v ./driftd:/etc/driftd:ro -p 8790:8790 driftd run --data-dir /data --config /etc/driftd/driftd.yaml

FROM golang:1.26 AS build
WORKDIR /src
# The modules change seldom: they are a layer of their own.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Without a version the binary says what debug.ReadBuildInfo knows.
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/driftd ./cmd/driftd && mkdir /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/driftd /usr/local/bin/driftd
COPY --from=build --chown=nonroot:nonroot /out/data /data
USER nonroot:nonroot
VOLUME /data
# The page and the API. Beyond loopback driftd listens only where the config gives TLS or authentication.
EXPOSE 8790
# Readiness: a broker that is away makes it unhealthy, and a restart would mend nothing.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/usr/local/bin/driftd", "health", "--data-dir", "/data"]
ENTRYPOINT ["/usr/local/bin/driftd"]
CMD ["run", "--data-dir", "/data"]
