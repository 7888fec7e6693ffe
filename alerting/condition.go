package alerting

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/driftd/driftd/result"
)

// Facts is what the expression of a condition may name: one window's result. The expression is a yes or a no in the language
// of expr (https://expr-lang.org), without its clock, so that it is a function of the result alone.
type Facts struct {
	Model      string  `expr:"model"`
	Version    string  `expr:"version"`
	WindowMS   int     `expr:"window_ms"`
	StartMS    int     `expr:"start_ms"`
	EndMS      int     `expr:"end_ms"`
	Events     int     `expr:"events"`
	Labels     int     `expr:"labels"`
	Late       int     `expr:"late"`
	Duplicate  int     `expr:"duplicate"`
	Lost       int     `expr:"lost"`
	Errors     int     `expr:"errors"`
	ErrorRate  float64 `expr:"error_rate"` // 0 without events
	Throughput float64 `expr:"throughput"` // events a second
	Complete   bool    `expr:"complete"`

	ThroughputRatio float64 `expr:"throughput_ratio"` // to the reference's; NaN without one

	Verdict  string       `expr:"verdict"`
	Latency  LatencyFacts `expr:"latency"`
	Features []Fact       `expr:"features"`

	// Stat is the value of a feature's statistic: stat("age", "psi"). A window in which it does not exist is not judged.
	Stat func(feature, statistic string) (float64, error) `expr:"stat"`
	// DriftShare is the share of the judged features that drifted; a window in which none was judged is not judged.
	DriftShare func() (float64, error) `expr:"drift_share"`
}

// LatencyFacts are milliseconds; a window without latencies has NaN, which is neither above nor below anything.
type LatencyFacts struct {
	P50  float64 `expr:"p50"`
	P90  float64 `expr:"p90"`
	P95  float64 `expr:"p95"`
	P99  float64 `expr:"p99"`
	P999 float64 `expr:"p999"`
	Mean float64 `expr:"mean"`
	Min  float64 `expr:"min"`
	Max  float64 `expr:"max"`

	Slower float64 `expr:"slower"` // the probability that an event took longer than one of the reference; NaN without one
}

// Fact is one feature of Facts.
type Fact struct {
	Name    string             `expr:"name"`
	Role    string             `expr:"role"`
	Kind    string             `expr:"kind"`
	Verdict string             `expr:"verdict"`
	Count   int                `expr:"count"`
	Missing int                `expr:"missing"`
	Invalid int                `expr:"invalid"`
	Stat    map[string]float64 `expr:"stat"` // by name; one that does not exist is 0, ask with `"psi" in .stat`
}

// ConditionError says where an expression is wrong.
type ConditionError struct {
	Line, Column int // in the expression, from 1
	Detail       string
}

func (e *ConditionError) Error() string {
	return fmt.Sprintf("line %d, column %d of the expression: %s", e.Line, e.Column, e.Detail)
}

// Condition is a compiled expression.
type Condition struct{ program *vm.Program }

// Bounds of an expression: what one may cost is decided before it runs.
const (
	maxCondition = 4 << 10
	maxNodes     = 1000
)

// clocks are the builtins whose value is not a function of the result.
func clocks() []string { return []string{"now", "date", "timezone", "duration"} }

// Compile checks an expression against the types of Facts. The error is a *ConditionError.
func Compile(source string) (*Condition, error) {
	if strings.TrimSpace(source) == "" {
		return nil, &ConditionError{Line: 1, Column: 1, Detail: "the expression is empty"}
	}
	if len(source) > maxCondition {
		return nil, &ConditionError{Line: 1, Column: 1, Detail: fmt.Sprintf("it has %d bytes, at most %d are possible", len(source), maxCondition)}
	}
	options := []expr.Option{expr.Env(Facts{}), expr.AsBool(), expr.MaxNodes(maxNodes)} //nolint:exhaustruct // only its types are read
	for _, name := range clocks() {
		options = append(options, expr.DisableBuiltin(name))
	}
	program, err := expr.Compile(source, options...)
	if err == nil {
		return &Condition{program: program}, nil
	}
	if at, ok := errors.AsType[*file.Error](err); ok {
		return nil, &ConditionError{Line: max(at.Line, 1), Column: at.Column + 1, Detail: at.Message}
	}
	return nil, &ConditionError{Line: 1, Column: 1, Detail: err.Error()}
}

// Holds evaluates the condition. An error says that the window cannot be judged, such as a statistic that it has not got.
func (c *Condition) Holds(f *Facts) (bool, error) {
	out, err := expr.Run(c.program, f)
	if err != nil {
		return false, err
	}
	yes, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("the expression is %T, not a yes or a no", out)
	}
	return yes, nil
}

// Statistics returns the names that the expression asks for by stat("feature", "statistic"), where both are written out.
func (c *Condition) Statistics() (features, statistics []string) {
	node := c.program.Node()
	ast.Walk(&node, visitor(func(n ast.Node) {
		call, ok := n.(*ast.CallNode)
		if !ok || len(call.Arguments) != 2 {
			return
		}
		if name, ok := call.Callee.(*ast.IdentifierNode); !ok || name.Value != "stat" {
			return
		}
		if f, ok := call.Arguments[0].(*ast.StringNode); ok {
			features = append(features, f.Value)
		}
		if s, ok := call.Arguments[1].(*ast.StringNode); ok {
			statistics = append(statistics, s.Value)
		}
	}))
	return features, statistics
}

type visitor func(ast.Node)

func (v visitor) Visit(n *ast.Node) { v(*n) }

// factsOf lays a result out for expressions.
func factsOf(sum *result.Summary, features []result.Feature) *Facts {
	f := &Facts{
		Model: sum.Key.Model, Version: sum.Key.Version, WindowMS: int(sum.Window.Size), StartMS: int(sum.Window.Start), EndMS: int(sum.Window.End),
		Events: int(sum.Counts.Events), Labels: int(sum.Counts.Labels), Late: int(sum.Counts.Late), Duplicate: int(sum.Counts.Duplicate),
		Lost: int(sum.Lost), Errors: int(sum.Errors), ErrorRate: 0, Throughput: sum.ThroughputHz, Complete: sum.Complete, Verdict: string(sum.Verdict),
		Latency: LatencyFacts{
			P50: orNaN(sum.Latency.Quantiles["0.5"]), P90: orNaN(sum.Latency.Quantiles["0.9"]), P95: orNaN(sum.Latency.Quantiles["0.95"]),
			P99: orNaN(sum.Latency.Quantiles["0.99"]), P999: orNaN(sum.Latency.Quantiles["0.999"]), Mean: orNaN(sum.Latency.Mean), Max: orNaN(sum.Latency.Max),
			Min: orNaN(sum.Latency.Min), Slower: orNaN(sum.Latency.Slower.Value),
		},
		ThroughputRatio: orNaN(sum.ThroughputRatio.Value),
		Features:        make([]Fact, 0, len(features)), Stat: nil, DriftShare: nil,
	}
	if sum.Counts.Events > 0 {
		f.ErrorRate = float64(sum.Errors) / float64(sum.Counts.Events)
	}
	for i := range features {
		in := &features[i]
		fact := Fact{
			Name: in.Feature, Role: string(in.Role), Kind: in.Kind, Verdict: string(in.Verdict), Count: int(in.Current.Count),
			Missing: int(in.Current.Missing), Invalid: int(in.Current.Invalid), Stat: map[string]float64{},
		}
		for name, s := range in.Statistics {
			if s.Value != nil {
				fact.Stat[name] = *s.Value
			}
		}
		f.Features = append(f.Features, fact)
	}
	f.Stat = func(feature, statistic string) (float64, error) {
		i := slices.IndexFunc(f.Features, func(g Fact) bool { return g.Name == feature })
		if i < 0 {
			return 0, fmt.Errorf("the result has no feature %q", feature)
		}
		v, ok := f.Features[i].Stat[statistic]
		if !ok {
			return 0, fmt.Errorf("feature %q has no value of %q here, only of %s", feature, statistic,
				strings.Join(slices.Sorted(maps.Keys(f.Features[i].Stat)), ", "))
		}
		return v, nil
	}
	f.DriftShare = func() (float64, error) {
		if sum.DriftShare == nil {
			return 0, errors.New("no feature was judged")
		}
		return *sum.DriftShare, nil
	}
	return f
}

func orNaN(x *float64) float64 {
	if x == nil {
		return math.NaN()
	}
	return *x
}
