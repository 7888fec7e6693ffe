// Package archtest holds the tests that keep the architecture: which package may import which (read from the drawing in
// docs/architecture.md), that the core knows no clock, goroutine, logger or network, and the habits of the repository
// that no linter checks. It has no code of its own; test files alone may live here.
package archtest
