package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

type tailOptions struct {
	remote
	via, cursor, cursorFile, snapshot string
	count                             int
	idle, interval, wait              time.Duration
	withCursor, quiet                 bool
}

func newTail() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:     "tail",
		Short:   "Follow an inbox, one JSON entry a line",
		GroupID: groupClient,
		Long: `Prints the entries of the token's inbox to standard output, one JSON object a
line, and everything else (gaps, reconnects) to standard error. Whatever the
transport, and however often the connection breaks, an entry comes once and
none is left out without a gap being told; it goes on until it is interrupted,
the token expires, or --count or --exit-after-idle say so.

With --cursor-file the next run goes on where this one ended, on whatever
transport. With --with-cursor each line is {"cursor":…,"entry":…}; a frame of a
WebSocket and a page of a poll have one cursor, so all but the last entry have null.`,
		Example: `  tocsin tail --snapshot active
  tocsin tail --via longpoll --cursor-file ~/.tocsin-cursor
  tocsin tail --cursor earliest --count 10`,
		Args: nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.via, "via", client.ViaSSE, "`transport`: "+strings.Join(client.Ways, ", "))
	f.StringVar(&o.cursor, "cursor", "", "begin after this cursor, or earliest or latest (default latest)")
	f.StringVar(&o.cursorFile, "cursor-file", "", "`file` that keeps the cursor across runs; it beats --cursor and --snapshot")
	f.StringVar(&o.snapshot, "snapshot", "", "begin with everything that is `active` or unacknowledged")
	f.IntVar(&o.count, "count", 0, "end after so many entries (default: never)")
	f.DurationVar(&o.idle, "exit-after-idle", 0, "end when no entry came for so long (default: never)")
	f.DurationVar(&o.interval, "interval", 0, "time between polls of --via poll (default: what the server says)")
	f.DurationVar(&o.wait, "wait", 25*time.Second, "how long --via longpoll waits")
	f.BoolVar(&o.withCursor, "with-cursor", false, `print {"cursor":…,"entry":…}`)
	f.BoolVar(&o.quiet, "quiet", false, "no word on connections; gaps are told all the same")
	_ = cmd.RegisterFlagCompletionFunc("via", cobra.FixedCompletions(client.Ways, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("snapshot", cobra.FixedCompletions([]string{"active"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("cursor", cobra.FixedCompletions([]string{"earliest", "latest"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *tailOptions) check(cmd *cobra.Command) error {
	switch {
	case !slices.Contains(client.Ways, o.via):
		return usagef(cmd, "--via: want %s, not %q", strings.Join(client.Ways, " or "), o.via)
	case o.snapshot != "" && o.snapshot != "active":
		return usagef(cmd, "--snapshot: want active, not %q", o.snapshot)
	case o.count < 0:
		return usagef(cmd, "--count: want 0 or more, not %d", o.count)
	case o.wait < time.Second:
		return usagef(cmd, "--wait: want at least 1s, not %s", o.wait)
	}
	return nil
}

// errIdle ends a tail that has been idle for long enough.
var errIdle = errors.New("idle")

func (o *tailOptions) run(cmd *cobra.Command) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, end := context.WithCancelCause(cmd.Context())
	defer end(nil)
	p := printer{out: cmd.OutOrStdout(), withCursor: o.withCursor, count: o.count, entry: func() {}}
	if o.idle > 0 {
		idle := time.AfterFunc(o.idle, func() { end(errIdle) })
		defer idle.Stop()
		p.entry = func() { idle.Reset(o.idle) }
	}
	t := client.Tail{
		Via: o.via, Cursor: o.cursor, Snapshot: o.snapshot != "",
		Wait: o.wait, Interval: o.interval,
		Limit: p.limit, Each: p.print,
		Note: func(kind, text string) {
			if !o.quiet || kind == "gap" {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "tocsin: %s: %s\n", kind, strings.ReplaceAll(text, "\n", " "))
			}
		},
	}
	if o.cursorFile != "" {
		kept, err := readCursor(o.cursorFile)
		if err != nil {
			return err
		}
		if kept != "" {
			t.Cursor, t.Snapshot = kept, false
		}
		t.Moved = func(cursor string) error { return writeFile(o.cursorFile, cursor+"\n") }
	}
	err = c.Tail(ctx, t)
	if errors.Is(err, context.Canceled) {
		return nil // interrupted or idle: the end that was asked for
	}
	return explain(err)
}

// A printer writes entries and counts them.
type printer struct {
	out        io.Writer
	withCursor bool
	count      int // ends after so many, 0 never
	printed    int
	entry      func() // an entry came
}

// limit keeps a page from holding more than is still to be printed: its cursor
// stands after all of it.
func (p *printer) limit() int {
	if left := p.count - p.printed; p.count > 0 && left < 1000 {
		return left
	}
	return 0
}

func (p *printer) print(i client.Item) error {
	p.entry()
	line := []byte(i.Entry)
	if p.withCursor {
		var cursor *string
		if i.Cursor != "" {
			cursor = &i.Cursor
		}
		var err error
		if line, err = json.Marshal(struct {
			Cursor *string         `json:"cursor"`
			Entry  json.RawMessage `json:"entry"`
		}{cursor, i.Entry}); err != nil {
			return err
		}
	}
	if _, err := p.out.Write(append(line[:len(line):len(line)], '\n')); err != nil {
		return err
	}
	if p.printed++; p.printed == p.count {
		return client.Done
	}
	return nil
}

// readCursor is what an earlier run kept, empty on the first one.
func readCursor(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// writeFile replaces a file whole, so that an interruption leaves the old one.
func writeFile(path, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = temp.WriteString(text)
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}
