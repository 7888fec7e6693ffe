// Package rivals computes the drift numbers of other tools, and what each would decide by its own default rule: from the data alone,
// without those tools. It is for moving over from one of them and for measuring against them; driftd itself judges by package detectors.
//
// The formulas are written from the tools' public sources and documentation; docs/statistics.md says which, at which version, and
// which of the numbers `make verify-conventions` compared with the tool itself. What is known to be wrong with a number is in Known, and is
// not mended: a number that is silently better than the rival's is not the rival's.
//
// Samples are given as distinct values with counts. All functions are pure.
package rivals
