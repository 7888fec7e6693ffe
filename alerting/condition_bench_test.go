package alerting_test

import (
	"fmt"
	"testing"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// What the conditions of a user cost at each window.
func BenchmarkConditions(b *testing.B) {
	_, features := wide(0, 0.5, 0.1)
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			rules := make([]alerting.Rule, 0, n)
			for i := range n {
				r := alerting.Template(fmt.Sprint("own", i), alerting.KindCondition)
				r.When = fmt.Sprintf(`events > %d and stat("f000", "psi_debiased") > 0.9 and (latency.p99 > 500 or error_rate > 0.01)`, i)
				rules = append(rules, r)
			}
			book := alerting.Restore(nil)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				sum, _ := wide(i, 0.5, 0.1)
				book.Step(sum, features, rules)
				book.Unknown(rules, features, func(result.Role, string) bool { return false })
			}
		})
	}
}
