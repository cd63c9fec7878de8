// Command tocsin is the whole product: the gateway (`tocsin serve`) and the
// small clients that publish to it, follow an inbox, and feed it recorded
// streams.
//
// It is the only package that composes the others, reads the environment and
// knows the configuration file; nothing imports it. Each subcommand has a file of
// its name. serve.go read from top to bottom is the architecture.
package main
