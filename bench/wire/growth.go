package main

import (
	"context"
	"fmt"
	"io"
)

// grow measures NDJSON with more and more features and models. A message has about as many bytes however wide an event is.
func grow(ctx context.Context, o *options, r *report, out io.Writer) error {
	for _, models := range []int{1, 10, 100} {
		for _, features := range []int{1, 10, 100, 1000} {
			g := *o
			g.features, g.models = features, models
			s := *shapes()[1]
			s.batch = max(1, min(s.batch, 64*baseValues/g.values()))
			m, err := measureShape(ctx, &g, &s, out)
			if err != nil {
				return fmt.Errorf("measuring %d features and %d models: %w", features, models, err)
			}
			r.Shapes = append(r.Shapes, m)
		}
	}
	return nil
}
