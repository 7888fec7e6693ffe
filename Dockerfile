# driftd as a static binary on an image without a shell, run by a user without rights.
#   docker build --build-arg VERSION=$(git describe --tags --always) -t driftd .
#   docker run -v driftd-data:/data -p 127.0.0.1:8790:8790 -v ./driftd.yaml:/etc/driftd/driftd.yaml:ro driftd run --config /etc/driftd/driftd.yaml

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
ENTRYPOINT ["/usr/local/bin/driftd"]
CMD ["run", "--data-dir", "/data"]
