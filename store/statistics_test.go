package store_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
)

// Every statistic that the daemon can write has a column, and is read over time as it was written.
func TestEveryStatisticOverTime(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"), store.Options{})
	w := hourly(0)
	docs := w.documents(t)
	written := w.feature(1).Statistics
	write(t, s, docs...)
	got, err := s.FeatureSeries(t.Context(), history.FeatureQuery{Series: history.Series{Model: "credit"}, Feature: "f001"})
	if err != nil || len(got.Points) != 1 {
		t.Fatalf("%d points, %v", len(got.Points), err)
	}
	for _, spec := range detectors.Builtin() {
		read, ok := got.Points[0].Statistics[spec.Name]
		if !ok {
			t.Errorf("%s has no column in history.StatColumns", spec.Name)
		}
		want := result.Stat{Value: written[spec.Name].Value}
		if diff := cmp.Diff(want.Value, read.Value); diff != "" {
			t.Errorf("%s (-written +read):\n%s", spec.Name, diff)
		}
	}
}

// A file of version 1 gets its columns, keeps what it has, and takes more.
func TestMigrateFromVersion1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, hourly(0).documents(t)...)
	before := everything(t, s, "credit")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	statements := []string{"DELETE FROM migration WHERE version >= 2", "DROP TABLE quality", "DROP TABLE verdict", "PRAGMA user_version = 1"}
	for c := range strings.FieldsSeq(`hellinger total_variation l_infinity cramer_von_mises cramer_von_mises_p anderson_darling anderson_darling_p mann_whitney
		mann_whitney_p wasserstein wasserstein_normed energy mean_shift mean_shift_p std_ratio distinct_values popmon`) {
		statements = append(statements, "ALTER TABLE feature_row DROP COLUMN "+c)
	}
	raw(t, path, statements...)
	s = open(t, path, store.Options{})
	if diff := cmp.Diff(before, everything(t, s, "credit")); diff != "" {
		t.Errorf("after the migration (-before +after):\n%s", diff)
	}
	write(t, s, hourly(1).documents(t)...)
}
