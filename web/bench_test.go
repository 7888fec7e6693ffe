package web_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/driftd/driftd/web"
)

// BenchmarkPage is what the server needs for each view, and for the data of the heat map, at 200 features and 1,000 windows.
func BenchmarkPage(b *testing.B) {
	s := start(b, web.Options{Reader: wide(b, 1000, 200, func(i int) string { return fmt.Sprintf("feature_%03d", i) })})
	for name, path := range map[string]string{
		"models": "/", "model/windows=200": "/models/wide", "model/windows=1000": "/models/wide?windows=1000", "heat/windows=1000": "/api/v1/models/wide/heat?limit=1000",
		"feature/windows=1000": "/models/wide/features/feature_100?windows=1000", "poll": "/api/v1/models/wide",
	} {
		b.Run(name, func(b *testing.B) {
			size := int64(0)
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+s.Addr()+path, nil)
				if err != nil {
					b.Fatal(err)
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				if size, err = io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
					b.Fatalf("%s: %d %v", path, res.StatusCode, err)
				}
				res.Body.Close()
			}
			b.ReportMetric(float64(size)/1024, "KiB")
		})
	}
}
