package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

type replayOptions struct {
	remote
	speed      float64
	batch      int
	groupsFrom string
	retryFor   time.Duration
}

func newReplay() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:     "replay FILE…",
		Short:   "Publish recorded alarms, in their own time or as fast as possible",
		GroupID: groupClient,
		Long: `Publishes streams of recorded alarms: JSON lines with time, device, severity,
type, state, message and group. First the group of every device is put into the
directory (needs the scope admin; --groups-from "" leaves that out), then the
events go in their order, several files one after the other.

An event's id is its file's name and line, so a replay that is interrupted, or
whose server dies and comes back within --retry-for, ends with the same figures:
what was stored before answers with its first outcome. (Ids are the publisher's
own and are remembered for a time, --dedupe-window of serve.) Recordings are old:
serve with --device-time trust, or their times give way to those of arrival.

Prints the final figures as JSON. They are counted from the server's results;
"active at the end" is how many of the alarms in the files were left raised by them.`,
		Example: "  tocsin replay stream-wireless.jsonl\n  tocsin replay --speed 60 flood.jsonl",
		Args:    nargs(1, -1, "the files to replay"),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	o.register(cmd)
	f := cmd.Flags()
	f.Float64Var(&o.speed, "speed", 0, "`times` as fast as it happened; 0 is as fast as possible")
	f.IntVar(&o.batch, "batch", 500, "most events in one request")
	f.StringVar(&o.groupsFrom, "groups-from", "group", "`field` with the device's group; empty leaves the directory alone")
	f.DurationVar(&o.retryFor, "retry-for", time.Minute, "how long to go on while the server is away")
	return cmd
}

func (o *replayOptions) run(cmd *cobra.Command, files []string) error {
	switch {
	case o.speed < 0:
		return usagef(cmd, "--speed: want 0 or more, not %v", o.speed)
	case o.batch < 1:
		return usagef(cmd, "--batch: want at least 1, not %d", o.batch)
	}
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	rec, err := readRecordings(cmd, files, o.groupsFrom)
	if err != nil {
		return err
	}
	ctx, retry := cmd.Context(), retryNoting(cmd, o.retryFor)
	if err := rec.putGroups(ctx, c, retry); err != nil {
		return explain(err)
	}
	p := player{client: c, speed: o.speed, batch: o.batch, retry: retry, progress: newProgress(cmd.ErrOrStderr(), len(rec.events))}
	began := time.Now()
	err = p.play(ctx, rec.events)
	p.progress.end()
	p.figures.finish(time.Since(began), p.active)
	if printed := json.NewEncoder(cmd.OutOrStdout()).Encode(p.figures); err == nil {
		err = printed
	}
	if err == nil && p.figures.Rejected > 0 {
		return fmt.Errorf("%d of %d events were rejected, the first: %w", p.figures.Rejected, p.figures.Events, p.refused)
	}
	return explain(err)
}

// A recorded is one event to play.
type recorded struct {
	at   time.Time
	key  string // device, type and qualifier: which alarm
	line []byte
}

// A recordings is what the files hold.
type recordings struct {
	events []recorded
	groups map[string]map[string]bool // by device
}

func readRecordings(cmd *cobra.Command, files []string, groupsFrom string) (*recordings, error) {
	rec := &recordings{groups: map[string]map[string]bool{}}
	seen := map[string]bool{}
	for _, file := range files {
		base := filepath.Base(file)
		if seen[base] {
			return nil, usagef(cmd, "two files are called %s, and the events' ids come from the name", base)
		}
		seen[base] = true
	}
	err := eachInput(cmd, files, func(file string, r io.Reader) error {
		return eachLine(r, func(n int, line []byte) error {
			if err := rec.read(fmt.Sprintf("%s:%d", filepath.Base(file), n), line, groupsFrom); err != nil {
				return fmt.Errorf("%s:%d: %w", file, n, err)
			}
			return nil
		})
	})
	return rec, err
}

// read takes one line; the id becomes the event's.
func (rec *recordings) read(id string, line []byte, groupsFrom string) error {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, e.Time)
	if err != nil {
		return fmt.Errorf("time: want RFC 3339, such as 2026-11-21T02:00:00Z, not %.40q", e.Time)
	}
	e.ID = id
	event, err := json.Marshal(e)
	if err != nil {
		return err
	}
	key := e.Device + "\x00" + e.Type + "\x00" + e.Qualifier
	rec.events = append(rec.events, recorded{at: at, key: key, line: event})
	if groupsFrom == "" {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return err
	}
	var group string
	if json.Unmarshal(fields[groupsFrom], &group) != nil || group == "" {
		return fmt.Errorf("%s: want the device's group, not %.40q; --groups-from names the field", groupsFrom, fields[groupsFrom])
	}
	if rec.groups[e.Device] == nil {
		rec.groups[e.Device] = map[string]bool{}
	}
	rec.groups[e.Device][group] = true
	return nil
}

// putGroups puts the groups of all devices into the directory.
func (rec *recordings) putGroups(ctx context.Context, c *client.Client, retry client.Retry) error {
	var lines [][]byte
	for _, device := range slices.Sorted(maps.Keys(rec.groups)) {
		line, err := json.Marshal(map[string]any{"device": device, "groups": slices.Sorted(maps.Keys(rec.groups[device]))})
		if err != nil {
			return err
		}
		lines = append(lines, line)
	}
	for some := range slices.Chunk(lines, directoryBatch) {
		report, err := c.DirectoryRetrying(ctx, some, retry)
		if err != nil {
			return fmt.Errorf("put the groups into the directory: %w", err)
		}
		if len(report.Refused) > 0 {
			bad := report.Refused[0]
			return fmt.Errorf("put the groups into the directory: %s: %s", some[bad.Line-1], bad.Detail)
		}
	}
	return nil
}

// A player publishes events and counts what becomes of them.
type player struct {
	client   *client.Client
	speed    float64
	batch    int
	retry    client.Retry
	progress progress
	figures  figures
	active   map[string]bool
	refused  error // of the first one
}

// play sends the events in order, none before its time.
func (p *player) play(ctx context.Context, events []recorded) error {
	p.active = map[string]bool{}
	due := p.schedule(events)
	for len(events) > 0 {
		n := min(p.batch, len(events))
		if p.speed > 0 {
			if err := until(ctx, due(events[0])); err != nil {
				return err
			}
			now := time.Now()
			for n > 1 && due(events[n-1]).After(now) {
				n--
			}
		}
		if err := p.send(ctx, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// schedule says when each event happens in the replay, which begins now.
func (p *player) schedule(events []recorded) func(recorded) time.Time {
	began := time.Now()
	return func(e recorded) time.Time {
		return began.Add(time.Duration(float64(e.at.Sub(events[0].at)) / p.speed))
	}
}

func until(ctx context.Context, t time.Time) error {
	wait := time.NewTimer(time.Until(t))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *player) send(ctx context.Context, events []recorded) error {
	lines := make([][]byte, len(events))
	for i, e := range events {
		lines[i] = e.line
	}
	results, err := p.client.PublishRetrying(ctx, "", lines, p.retry)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for i, r := range results {
		p.figures.count(r)
		switch r.Status {
		case client.StatusRaised, client.StatusRepeated:
			p.active[events[i].key] = true
		case client.StatusCleared:
			delete(p.active, events[i].key)
		case client.StatusRejected:
			if p.refused == nil {
				p.refused = errors.New("no reason given")
				if r.Problem != nil {
					p.refused = r.Problem
				}
				p.refused = fmt.Errorf("%s: %w", events[i].line, p.refused)
			}
		}
	}
	p.progress.add(len(events))
	return nil
}
