// Package e2e holds the end-to-end tests: the real binary as a process of its own, a real broker, the real data, and what a
// user sees of it over HTTP and on the command line. It has no code of its own; daemon_test.go is what its tests share.
package e2e
