package config

import (
	"fmt"
	"strings"
)

// unknownKey says that a key is unknown, and which one may have been meant.
func unknownKey(key string, known []string) string {
	if best, ok := nearest(key, known); ok {
		return fmt.Sprintf("is not a known key; did you mean %s?", best)
	}
	return "is not a known key; known here are " + list(known, "and")
}

// nearest returns the word that may have been meant.
func nearest(key string, known []string) (string, bool) {
	best, distance := "", max(2, len(key)/3)+1
	normal := strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	for _, k := range known {
		n := edits(normal, k)
		if strings.HasPrefix(k, normal+"_") { // `password` for `password_file`
			n = min(n, 1)
		}
		if n < distance && n < len(k) {
			best, distance = k, n
		}
	}
	return best, best != ""
}

// edits returns the Levenshtein distance of two short texts.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// list joins words for a sentence.
func list(words []string, and string) string {
	switch len(words) {
	case 0:
		return "none"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:len(words)-1], ", ") + " " + and + " " + words[len(words)-1]
	}
}
