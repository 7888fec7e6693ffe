package alerting

import (
	"fmt"
	"slices"

	"github.com/driftd/driftd/result"
)

// maxUnknown bounds the lines that Unknown gives for one result.
const maxUnknown = 10

// Unknown says which rules look at a feature that a result has not got, and so never judge it: a name that is misspelt, that the
// reference was made without, or that the configuration ignores. It gives one line for each rule and name, in the order of the
// rules, at most ten and a line that counts the others. features are those of one result that was compared with a reference.
func (b *Book) Unknown(rules []Rule, features []result.Feature, ignored func(role result.Role, name string) bool) []string {
	var out []string
	for i := range rules {
		r := &rules[i]
		role, names := b.looksAt(r)
		for k, name := range names {
			known := slices.ContainsFunc(features, func(f result.Feature) bool {
				return f.Feature == name && (role == "" || f.Role == role)
			})
			if known || slices.Contains(names[:k], name) {
				continue
			}
			why := "which the reference has not got"
			if ignored(role, name) {
				why = "which the configuration ignores"
			}
			out = append(out, fmt.Sprintf("unknown_feature: rule %s looks at %.128q, %s: it is never judged", r.Name, name, why))
		}
	}
	if more := len(out) - maxUnknown; more > 0 {
		out = append(out[:maxUnknown], fmt.Sprintf("unknown_feature: and %d more", more))
	}
	return out
}

// looksAt returns the features that a rule names, and the role that they must have; empty: any.
func (b *Book) looksAt(r *Rule) (role result.Role, names []string) {
	switch r.Kind { //nolint:exhaustive // the others name no feature
	case KindFeatureDrift:
		return result.RoleFeature, r.Features
	case KindPredictionDrift:
		return result.RolePrediction, r.Features
	case KindMissingValues, KindInvalidValues, KindUnseenValues, KindOutOfRange, KindChangePoint:
		return "", r.Features
	case KindCondition:
		if c := b.condition(r.When); c != nil {
			names, _ = c.Statistics()
		}
		return "", names
	}
	return "", nil
}
