// Package detectors computes the statistics of drift from two vectors of counts over the same cells, and judges them.
//
// Every statistic is one file and one line in Builtin. Evaluate computes all of them for a feature of one window; Judge looks at
// all features of a model together, corrects for their number and gives the verdicts with their reasons. The conventions are
// in docs/statistics.md. Nothing here changes its arguments, and nothing depends on anything but them.
package detectors
