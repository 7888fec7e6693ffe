// Package analyze compares two files without a broker: what `driftd analyze` does. Both samples are at hand, so every statistic is
// computed exactly, by sorting and merging column by column, and the verdicts are those that the daemon would give on the same
// data: the same cells, the same judgement. It belongs to the shell: it reads files and works on several columns at once.
package analyze
