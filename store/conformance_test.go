package store_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/driftd/driftd/history/historytest"
	"github.com/driftd/driftd/store"
)

func TestConformance(t *testing.T) {
	historytest.Run(t, func(t *testing.T) historytest.Store {
		s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
		return historytest.Store{ModelReader: s, WindowReader: s, QualityReader: s, VerdictReader: s, Write: func(ctx context.Context, docs []historytest.Document) error {
			all := make([]store.Document, 0, len(docs))
			for _, d := range docs {
				all = append(all, store.Document(d))
			}
			return s.Write(ctx, all)
		}}
	})
}
