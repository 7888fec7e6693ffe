// Package dashboards holds what Grafana shows of driftd: dashboards for InfluxDB (in Flux and in InfluxQL) and for Prometheus, and
// files with which Grafana provisions them, their data sources and alert rules. The dashboards are written by package build;
// `driftd dashboards export` writes the files of this package somewhere else, byte for byte. It imports nothing.
package dashboards

import (
	"embed"
	"io/fs"
)

//go:generate go run ./build

//go:embed driftd-*.json provisioning
var files embed.FS

// Files returns all files, by the names under which they are exported.
func Files() fs.FS { return files }
