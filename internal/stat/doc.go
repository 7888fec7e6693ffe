// Package stat holds the numeric kernels of the statistics: pure functions of counts and numbers, without state, clock or
// input/output. Which statistic means what, and by which convention, is said in docs/statistics.md; the kernels name
// their formula, range, special cases, approximations and sources.
//
// No function mutates or retains its arguments. What does not exist is reported by a false second result, never as NaN.
package stat
