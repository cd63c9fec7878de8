package notices

import (
	"context"

	"tocsin/transports"
)

// codeSlowDown closes a connection whose client makes too many mistakes
// (docs/protocol.md §6).
const codeSlowDown = 4429

// Options are what conversations are made of; View, Pump, Send and Problem are
// required. They are shared by many, and not to be copied.
type Options struct {
	transports.DialogueOptions
	// Send stores the notice that a client sends.
	Send func(ctx context.Context, c transports.Client, text []byte) error
	// Problem puts an error into words, with an HTTP status.
	Problem func(err error) (code int, message string)

	notices transports.Shared[[]byte]
	rates   rates
}
