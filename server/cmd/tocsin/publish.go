package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

// An event is what is published, in the words of docs/protocol.md §9.
type event struct {
	ID        string            `json:"id,omitempty"`
	Device    string            `json:"device,omitempty"`
	Type      string            `json:"type,omitempty"`
	Qualifier string            `json:"qualifier,omitempty"`
	Severity  string            `json:"severity,omitempty"`
	State     string            `json:"state,omitempty"`
	Kind      string            `json:"kind,omitempty"`
	Message   string            `json:"message,omitempty"`
	Attrs     map[string]string `json:"attrs,omitempty"`
	Time      string            `json:"time,omitempty"`
}

type publishOptions struct {
	remote
	event    event
	attrs    []string
	batch    int
	retryFor time.Duration
}

func newPublish() *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:     "publish [FILE…]",
		Short:   "Publish one alarm from flags, or many from JSON lines",
		GroupID: groupClient,
		Long: `With --device publishes the one alarm that the flags describe. Else publishes
the lines of the files, or of standard input ("-"), each a JSON object:
{"device","type","severity","state","qualifier","kind","message","attrs","time","id"}.

Prints the server's result of each, a line each, in order. Exit code 1 if one
was rejected. While the server is away the same events are sent again with the
same ids, so none counts twice.`,
		Example: `  tocsin publish --device W028 --type link-down --severity major --message "port 3" --attr port=3
  tocsin publish --device W028 --type link-down --state cleared
  collector | tocsin publish`,
		Args: nargs(0, -1, "files"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	o.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.event.Device, "device", "", "the device that the alarm is about")
	f.StringVar(&o.event.Type, "type", "", "what happened, such as overspeed")
	f.StringVar(&o.event.Qualifier, "qualifier", "", "which one, where a device can have several of a type")
	f.StringVar(&o.event.Severity, "severity", "", "critical, major, minor, warning or indeterminate")
	f.StringVar(&o.event.State, "state", "", "raised or cleared (default raised)")
	f.StringVar(&o.event.Kind, "kind", "", "stateful or momentary")
	f.StringVar(&o.event.Message, "message", "", "text for people")
	f.StringVar(&o.event.Time, "time", "", "the device's time, RFC 3339 (default arrival)")
	f.StringVar(&o.event.ID, "id", "", "name of the event, so that it can be sent again")
	f.StringArrayVar(&o.attrs, "attr", nil, "`key=value` of the alarm; may be repeated")
	f.IntVar(&o.batch, "batch", 500, "most events in one request")
	f.DurationVar(&o.retryFor, "retry-for", 30*time.Second, "how long to go on while the server is away")
	return cmd
}

func (o *publishOptions) run(cmd *cobra.Command, files []string) error {
	single, err := o.single(cmd)
	if err != nil {
		return err
	}
	if single != nil && len(files) > 0 {
		return usagef(cmd, "want flags or files, not both")
	}
	if o.batch < 1 {
		return usagef(cmd, "--batch: want at least 1, not %d", o.batch)
	}
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	p := publisher{client: c, out: cmd.OutOrStdout(), retry: retryNoting(cmd, o.retryFor)}
	if single != nil {
		err = p.send(cmd.Context(), [][]byte{single})
	} else {
		err = eachInput(cmd, files, func(_ string, r io.Reader) error {
			return eachBatch(cmd.Context(), r, o.batch, func(lines [][]byte) error { return p.send(cmd.Context(), lines) })
		})
	}
	if err == nil && p.rejected > 0 {
		return fmt.Errorf("%d of %d events were rejected", p.rejected, p.sent)
	}
	return explain(err)
}

// single is the alarm of the flags, nil if they describe none.
func (o *publishOptions) single(cmd *cobra.Command) ([]byte, error) {
	for _, a := range o.attrs {
		key, text, ok := strings.Cut(a, "=")
		if !ok || key == "" {
			return nil, usagef(cmd, "--attr: want key=value, not %q", a)
		}
		if o.event.Attrs == nil {
			o.event.Attrs = map[string]string{}
		}
		o.event.Attrs[key] = text
	}
	switch e := o.event; {
	case e.Device != "":
		return json.Marshal(e)
	case e.Type+e.Qualifier+e.Severity+e.State+e.Kind+e.Message+e.ID+e.Time != "" || len(o.attrs) > 0:
		return nil, usagef(cmd, "--device is wanted with the other flags of an alarm")
	}
	return nil, nil
}

// retryNoting retries for so long and tells each failure on standard error.
func retryNoting(cmd *cobra.Command, d time.Duration) client.Retry {
	return client.Retry{
		For:  d,
		Pace: client.Pace{Most: 5 * time.Second},
		Note: func(err error) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), "tocsin: again: %v\n", err) },
	}
}

// A publisher sends batches and prints their results.
type publisher struct {
	client         *client.Client
	out            io.Writer
	retry          client.Retry
	sent, rejected int
}

func (p *publisher) send(ctx context.Context, lines [][]byte) error {
	results, err := p.client.PublishRetrying(ctx, rand.Text(), lines, p.retry)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for i := range results {
		p.sent++
		if results[i].Status == client.StatusRejected {
			p.rejected++
		}
		if _, err := fmt.Fprintf(p.out, "%s\n", results[i].Raw); err != nil {
			return err
		}
	}
	return nil
}

// eachInput calls f with every file, or with standard input for none and for "-".
func eachInput(cmd *cobra.Command, files []string, f func(name string, r io.Reader) error) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	for _, name := range files {
		if name == "-" {
			if err := f(name, cmd.InOrStdin()); err != nil {
				return err
			}
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		err = f(name, file)
		_ = file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// maxLine is the longest line of input, in bytes.
const maxLine = 1 << 20

// eachLine calls f with every line that is not blank and its number from 1. The
// line is the caller's to keep.
func eachLine(r io.Reader, f func(number int, line []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if line := strings.TrimSpace(lines.Text()); line != "" {
			if err := f(n, []byte(line)); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return nil
}

// eachBatch calls f with batches of lines: what has come, up to most, so that a
// live source waits for no batch to fill.
func eachBatch(ctx context.Context, r io.Reader, most int, f func([][]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	come := make(chan []byte, most)
	read := make(chan error, 1)
	// Ends with the input, or with ctx at the line after; a read that blocks for
	// ever is ended by the process.
	go func() {
		defer close(come)
		read <- eachLine(r, func(_ int, line []byte) error {
			select {
			case come <- line:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	for {
		var batch [][]byte
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, more := <-come:
			if !more {
				return <-read
			}
			batch = append(batch, line)
		}
		for len(batch) < most && len(come) > 0 {
			batch = append(batch, <-come)
		}
		if err := f(batch); err != nil {
			return err
		}
	}
}
