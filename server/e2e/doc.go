// Package e2e tests the real binary from outside: it is built once, started as a
// process on free ports of the loopback interface, and killed when a test says
// so. There is no code here but tests.
package e2e
