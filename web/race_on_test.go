//go:build race

package web_test

// raced says that the race detector watches: SQLite in Go is twenty times slower then, and sizes show nothing more.
const raced = true
