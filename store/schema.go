package store

import (
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// applicationID marks the file as driftd's in SQLite's header ("drft"), so a foreign database is told apart from an empty file.
const applicationID = 0x64726674

// A migration leads from the version before to its own; migrations are only ever appended. The file's PRAGMA user_version
// is the number of migrations it has seen, and the table `migration` names them for people.
type migration struct {
	name       string
	statements []string
}

func migrations() []migration {
	return []migration{
		{name: "results and features over windows", statements: firstSchema()},
		{name: "every statistic over windows", statements: addStatistics()},
		{name: "the quality of windows", statements: addQuality()},
		{name: "the number of the rule of popmon over windows", statements: []string{"ALTER TABLE feature_row ADD COLUMN popmon REAL"}},
		{name: "verdicts about versions", statements: addVerdicts()},
		{name: "what the predictions of windows did to groups", statements: addFairness()},
	}
}

// statColumn is one column of feature_row that holds a statistic. Adding one is a line in history.StatColumns and a migration.
type statColumn struct{ history.StatColumn }

// statColumns lists the statistics that can be read over time without opening documents; everything else of a feature is
// in its document.
func statColumns() []statColumn {
	columns := history.StatColumns()
	out := make([]statColumn, len(columns))
	for i, c := range columns {
		out[i] = statColumn{c}
	}
	return out
}

// get returns the column's number in s, nil where it does not exist.
func (c statColumn) get(s map[string]result.Stat) any {
	st, ok := s[c.Name]
	if !ok {
		return nil
	}
	p := c.Field(&st)
	if *p == nil {
		return nil
	}
	return **p
}

// statColumnNames returns the columns' names, comma separated, each with a prefix.
func statColumnNames(prefix string) string {
	var b strings.Builder
	for i, c := range statColumns() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(prefix + c.Column)
	}
	return b.String()
}

// addStatistics is version 2: a column for each statistic that had none. Rows from before have no number there.
func addStatistics() []string {
	columns := []string{
		"hellinger", "total_variation", "l_infinity", "cramer_von_mises",
		"cramer_von_mises_p", "anderson_darling", "anderson_darling_p", "mann_whitney",
		"mann_whitney_p", "wasserstein", "wasserstein_normed", "energy",
		"mean_shift", "mean_shift_p", "std_ratio", "distinct_values",
	}
	statements := make([]string, len(columns))
	for i, c := range columns {
		statements[i] = "ALTER TABLE feature_row ADD COLUMN " + c + " REAL"
	}
	return statements
}

// firstSchema is version 1. It names its columns literally and not from statColumns: a migration never changes afterwards.
//
//   - result: one row a result id; `current` marks the revision that reads show for a window.
//   - document: the committed bytes; feature documents are compressed (encoding 1, zstd).
//   - feature_row: one row a feature and result, clustered by feature so that a series is one range scan.
//   - heat: a strip a result with the verdict and psi_debiased of all its features, so that a map of 200 features over
//     1,000 windows reads 1,000 rows and not 200,000.
//   - transition: changes of incidents; `current` marks the newest one of each.
//   - latest: the newest window of every series, one with events where there is any.
func firstSchema() []string {
	return []string{
		`CREATE TABLE model (
			id            INTEGER PRIMARY KEY,
			name          TEXT NOT NULL UNIQUE,
			newest_end    INTEGER NOT NULL,
			pruned_before INTEGER NOT NULL
		) STRICT`,
		`CREATE TABLE series (
			id       INTEGER PRIMARY KEY,
			model_id INTEGER NOT NULL REFERENCES model(id),
			version  TEXT NOT NULL,
			segment  TEXT NOT NULL,
			UNIQUE (model_id, version, segment)
		) STRICT`,
		`CREATE TABLE feature (
			id       INTEGER PRIMARY KEY,
			model_id INTEGER NOT NULL REFERENCES model(id),
			role     TEXT NOT NULL,
			name     TEXT NOT NULL,
			kind     TEXT NOT NULL,
			UNIQUE (model_id, role, name)
		) STRICT`,
		`CREATE TABLE result (
			id           INTEGER PRIMARY KEY,
			result_id    TEXT NOT NULL UNIQUE,
			series_id    INTEGER NOT NULL REFERENCES series(id),
			size_ms      INTEGER NOT NULL,
			start_ms     INTEGER NOT NULL,
			end_ms       INTEGER NOT NULL,
			revision     INTEGER NOT NULL,
			current      INTEGER NOT NULL DEFAULT 0,
			stored_parts INTEGER NOT NULL DEFAULT 0,
			parts        INTEGER,
			fingerprint  TEXT,
			complete     INTEGER,
			verdict      TEXT,
			drift_share  REAL,
			events       INTEGER,
			features     INTEGER,
			reasons      TEXT
		) STRICT`,
		`CREATE INDEX result_window ON result (series_id, size_ms, start_ms)`,
		`CREATE INDEX result_end ON result (series_id, end_ms)`,
		`CREATE INDEX result_current ON result (series_id, size_ms, start_ms, id) WHERE current = 1`,
		`CREATE TABLE document (
			result   INTEGER NOT NULL REFERENCES result(id),
			part     INTEGER NOT NULL,
			sha256   BLOB NOT NULL,
			encoding INTEGER NOT NULL,
			data     BLOB NOT NULL,
			UNIQUE (result, part)
		) STRICT`,
		`CREATE TABLE feature_row (
			feature_id INTEGER NOT NULL REFERENCES feature(id),
			series_id  INTEGER NOT NULL,
			size_ms    INTEGER NOT NULL,
			start_ms   INTEGER NOT NULL,
			result     INTEGER NOT NULL REFERENCES result(id),
			part       INTEGER NOT NULL,
			pos        INTEGER NOT NULL,
			len        INTEGER NOT NULL,
			verdict    TEXT NOT NULL,
			q_value    REAL,
			n_min      INTEGER NOT NULL,
			n          INTEGER NOT NULL,
			missing    INTEGER NOT NULL,
			invalid    INTEGER NOT NULL,
			inf        INTEGER NOT NULL,
			mean       REAL,
			std        REAL,
			min        REAL,
			max        REAL,
			median     REAL,
			psi REAL, psi_p REAL, psi_debiased REAL, kl REAL, kl_reverse REAL, js REAL,
			ks REAL, ks_p REAL, ks_lower REAL, ks_upper REAL, chi2 REAL, chi2_p REAL,
			missing_rate REAL, invalid_rate REAL, inf_rate REAL, other_rate REAL, out_of_range_rate REAL,
			PRIMARY KEY (feature_id, series_id, size_ms, start_ms, result)
		) STRICT, WITHOUT ROWID`,
		`CREATE TABLE heat (
			result INTEGER PRIMARY KEY REFERENCES result(id),
			strip  BLOB NOT NULL
		) STRICT`,
		`CREATE TABLE transition (
			id            INTEGER PRIMARY KEY,
			transition_id TEXT NOT NULL UNIQUE,
			model_id      INTEGER NOT NULL REFERENCES model(id),
			incident      TEXT NOT NULL,
			state         TEXT NOT NULL,
			end_ms        INTEGER NOT NULL,
			current       INTEGER NOT NULL DEFAULT 0,
			sha256        BLOB NOT NULL,
			data          BLOB NOT NULL
		) STRICT`,
		`CREATE INDEX transition_incident ON transition (incident, end_ms)`,
		`CREATE INDEX transition_model ON transition (model_id, end_ms)`,
		`CREATE INDEX transition_current ON transition (end_ms, id) WHERE current = 1`,
		`CREATE TABLE latest (
			series_id INTEGER NOT NULL REFERENCES series(id),
			size_ms   INTEGER NOT NULL,
			result    INTEGER NOT NULL REFERENCES result(id),
			PRIMARY KEY (series_id, size_ms)
		) STRICT, WITHOUT ROWID`,
	}
}
