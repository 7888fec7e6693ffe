package config

import (
	"regexp"
	"strconv"
	"strings"
)

// A path names a setting: models.churn.windows[0].size. A key that is not plain is quoted in brackets: features["a.b"].

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func joinKey(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

func joinIndex(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parentPath returns the path of the setting around; empty for one at the top.
func parentPath(path string) string {
	if strings.HasSuffix(path, `"]`) { // a quoted key may hold any character: find the bracket that opens it
		for i := strings.LastIndex(path, `["`); i >= 0; i = strings.LastIndex(path[:i], `["`) {
			if _, err := strconv.Unquote(path[i+1 : len(path)-1]); err == nil {
				return path[:i]
			}
		}
	}
	i := strings.LastIndexAny(path, ".[")
	if i < 0 {
		return ""
	}
	return path[:i]
}
