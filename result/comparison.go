package result

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Decision says what may become of a version that is compared with another one.
type Decision string

// The decisions.
const (
	Promote  Decision = "promote"   // it is shown to be no worse than its margins allow
	Hold     Decision = "hold"      // neither is shown: Reasons say what is missing
	RollBack Decision = "roll_back" // it is shown to be worse than a margin allows
)

// Comparison is the document of what two live versions are, compared over the same windows, up to a window: of type "verdict". Totals and guards are of all
// windows since the comparison began, the rest is of the window.
type Comparison struct {
	Schema    int    `json:"schema"`
	Type      string `json:"type"` // "verdict"
	ResultID  string `json:"result_id"`
	Key       Key    `json:"key"`     // the version is the candidate's
	Compare   string `json:"compare"` // name of the comparison in the configuration
	Mode      string `json:"mode"`    // canary, shadow or ab
	Baseline  string `json:"baseline"`
	Candidate string `json:"candidate"` // the version of the key

	Window   Window       `json:"window"`
	Maturity int64        `json:"maturity_ms"` // 0: read with the window's own result; else with its quality at this maturity
	Reading  uint64       `json:"reading"`     // of the comparison, from 1: a later one replaces all before
	Since    int64        `json:"since_ms"`    // start of its first window
	Windows  uint64       `json:"windows"`     // in which both versions had events
	Complete bool         `json:"complete"`    // false: input of the window was lost
	Ref      *ReferenceID `json:"reference"`   // whose cells the distributions are compared over; null: none

	Verdict Decision `json:"verdict"`
	Reasons []string `json:"reasons"` // why, with the numbers; each begins with a word and a colon
	Notes   []string `json:"notes"`   // what else should be known

	Total  Sides   `json:"total"`
	Guards []Guard `json:"guards"`
	Split  Split   `json:"split"`

	Now     *SideBySide     `json:"now"`     // the window; null in a reading of its quality
	Quality *QualityCompare `json:"quality"` // the window's quality; null but in a reading of it
	Shadow  *Shadow         `json:"shadow"`  // null but in shadow mode
}

// Sides is how many events each version had.
type Sides struct {
	Baseline        uint64 `json:"baseline"`
	Candidate       uint64 `json:"candidate"`
	BaselineErrors  uint64 `json:"baseline_errors"`
	CandidateErrors uint64 `json:"candidate_errors"`
}

// GuardState is what a guarded metric shows.
type GuardState string

// The states of a guard.
const (
	GuardWorse     GuardState = "worse"     // worse than the margin allows
	GuardNotWorse  GuardState = "not_worse" // not worse than the margin allows
	GuardBetter    GuardState = "better"    // not worse at all
	GuardUndecided GuardState = "undecided"
	GuardNoData    GuardState = "no_data"
)

// Guard is a metric that decides, over all windows since the comparison began. It may be read at every window.
type Guard struct {
	Metric string     `json:"metric"` // error_rate, latency, or one of quality: accuracy, recall, …, mae
	State  GuardState `json:"state"`
	Margin float64    `json:"margin"` // error_rate, quality: the largest increase of Baseline; mae: as a share of it; latency: the largest ratio

	// The sides: shares of errors, of wrong answers, of slow requests; or mean absolute errors. Null without data.
	Baseline  *float64 `json:"baseline"`
	Candidate *float64 `json:"candidate"`
	N         uint64   `json:"baseline_n"`
	M         uint64   `json:"candidate_n"`

	// Candidate less baseline, each window compared with itself. Lower is what shows that the candidate is worse: the guard is `worse` where it is above
	// the margin. Upper is what shows that it is not: `not_worse` where it is below the margin. The p-value is for no difference at all (latency: for the
	// ratio of the margin). All hold at every window.
	Difference Stat `json:"difference"`

	SlowerThan *float64 `json:"slower_than_ms"` // latency: what is slow next, by the baseline's quantile in the last window
}

// Split is how traffic was split.
type Split struct {
	Expected *float64 `json:"expected"` // the candidate's share as configured; null: not tested
	Share    *float64 `json:"share"`    // the candidate's share of the window's events of both; null without events
	Total    *float64 `json:"total"`    // of all windows since Expected is as it is
	ChiSq    *float64 `json:"chi2"`     // of the totals
	PValue   *float64 `json:"p_value"`  // of chi2, for who looks once
	Anytime  *float64 `json:"p_anytime"`
	Mismatch bool     `json:"mismatch"` // the split is not as configured: no difference means anything
}

// SideBySide is both versions in one window.
type SideBySide struct {
	Events    Sides   `json:"events"`
	ErrorRate Stat    `json:"error_rate"` // candidate less baseline, Newcombe's interval, two-proportion test
	Latency   Latency `json:"latency"`    // of the candidate; its reference is the baseline, its mean difference below
	MeanMS    Stat    `json:"latency_mean_ms"`

	// Null where nothing could be compared: why says so.
	Inputs      *Differing `json:"inputs"`
	Predictions *Differing `json:"predictions"`
	Why         string     `json:"why,omitempty"`

	// Mean of a numeric prediction: candidate less baseline, by Welch's test in the window, and over all windows, to be read at any.
	Score      Stat `json:"score"`
	ScoreTotal Stat `json:"score_total"`
}

// Differing says which columns are distributed differently in two versions.
type Differing struct {
	Compared int       `json:"compared"` // that could be judged
	Differ   int       `json:"differ"`
	Share    *float64  `json:"share"` // null where none could be judged
	Top      []Differs `json:"top"`   // the furthest first, at most 10
}

// Differs is one column.
type Differs struct {
	Feature   string   `json:"feature"`
	Verdict   Verdict  `json:"verdict"`
	Statistic string   `json:"statistic"`
	Value     *float64 `json:"value"`
	Reasons   []string `json:"reasons"`
}

// QualityCompare is the quality of both versions in one window.
type QualityCompare struct {
	BaselineLabels  uint64   `json:"baseline_labels"`
	CandidateLabels uint64   `json:"candidate_labels"`
	Difference      []Metric `json:"difference"` // candidate less baseline, with intervals of 95 % for who looks once
}

// Shadow is what a version that answers beside another one did, by request id, in the ids that labels.mode looks at.
type Shadow struct {
	Window Agreement `json:"window"` // zero in a reading of quality
	Total  Agreement `json:"total"`
}

// Agreement compares the answers to the same requests.
type Agreement struct {
	Baseline      uint64   `json:"baseline"`  // requests with an id that the baseline answered
	Candidate     uint64   `json:"candidate"` // and the candidate
	Both          uint64   `json:"both"`
	OnlyBaseline  uint64   `json:"only_baseline"`
	OnlyCandidate uint64   `json:"only_candidate"`
	Answered      *float64 `json:"answered"` // Both over Baseline

	Unusable uint64     `json:"unusable"`          // of Both: an answer cannot be read
	Classes  []string   `json:"classes,omitempty"` // classification
	Matrix   [][]uint64 `json:"matrix,omitempty"`  // rows: what the baseline said; columns: the candidate
	Agreed   Stat       `json:"agreed"`            // share of equal classes, with Wilson's interval of 95 %
	Kappa    Stat       `json:"kappa"`             // Cohen's

	Scores    uint64 `json:"scores"`           // of Both: both have a number
	MeanDiff  Stat   `json:"mean_difference"`  // candidate less baseline
	RMSDiff   Stat   `json:"rms_difference"`   // root of the mean square
	BeyondTol Stat   `json:"beyond_tolerance"` // share that differs by more than the tolerance, with Wilson's interval of 95 %
}

// ComparisonID returns the result id of a comparison; see ID.
func ComparisonID(k Key, name string, w Window, every int64, fingerprint string, maturity int64) string {
	h := sha256.New()
	for _, s := range []string{
		"verdict", k.Model, k.Version, k.Segment, name, fingerprint, strconv.FormatInt(w.Start, 10), strconv.FormatInt(w.End, 10),
		strconv.FormatInt(w.Size, 10), strconv.FormatInt(every, 10), strconv.FormatInt(maturity, 10),
	} {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
