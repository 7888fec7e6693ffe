package history

import "github.com/driftd/driftd/result"

// StatPart names one number of a result.Stat.
type StatPart uint8

// The numbers of a result.Stat that stores keep over time.
const (
	StatValue StatPart = iota + 1
	StatPValue
	StatLower
	StatUpper
)

// StatColumn is one number of a statistic that can be read over time without opening documents.
type StatColumn struct {
	Column string // its name in a table
	Name   string // key in result.Feature.Statistics
	Part   StatPart
}

// StatColumns lists what FeatureState.Statistics holds, in every store; everything else of a feature is in its document.
func StatColumns() []StatColumn {
	return []StatColumn{
		{"psi", "psi", StatValue},
		{"psi_p", "psi", StatPValue},
		{"psi_debiased", "psi_debiased", StatValue},
		{"kl", "kl", StatValue},
		{"kl_reverse", "kl_reverse", StatValue},
		{"js", "js", StatValue},
		{"ks", "ks", StatValue},
		{"ks_p", "ks", StatPValue},
		{"ks_lower", "ks", StatLower},
		{"ks_upper", "ks", StatUpper},
		{"chi2", "chi2", StatValue},
		{"chi2_p", "chi2", StatPValue},
		{"missing_rate", "missing_rate", StatValue},
		{"invalid_rate", "invalid_rate", StatValue},
		{"inf_rate", "inf_rate", StatValue},
		{"other_rate", "other_rate", StatValue},
		{"out_of_range_rate", "out_of_range_rate", StatValue},
		{"hellinger", "hellinger", StatValue},
		{"total_variation", "total_variation", StatValue},
		{"l_infinity", "l_infinity", StatValue},
		{"cramer_von_mises", "cramer_von_mises", StatValue},
		{"cramer_von_mises_p", "cramer_von_mises", StatPValue},
		{"anderson_darling", "anderson_darling", StatValue},
		{"anderson_darling_p", "anderson_darling", StatPValue},
		{"mann_whitney", "mann_whitney", StatValue},
		{"mann_whitney_p", "mann_whitney", StatPValue},
		{"wasserstein", "wasserstein", StatValue},
		{"wasserstein_normed", "wasserstein_normed", StatValue},
		{"energy", "energy", StatValue},
		{"mean_shift", "mean_shift", StatValue},
		{"mean_shift_p", "mean_shift", StatPValue},
		{"std_ratio", "std_ratio", StatValue},
		{"distinct_values", "distinct", StatValue},
		{"popmon", "popmon", StatValue}, // of a gate by popmon's rule
	}
}

// Field returns where the column's number lies in st.
func (c StatColumn) Field(st *result.Stat) **float64 {
	switch c.Part {
	case StatPValue:
		return &st.PValue
	case StatLower:
		return &st.Lower
	case StatUpper:
		return &st.Upper
	default:
		return &st.Value
	}
}
