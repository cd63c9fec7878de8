package directory

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tocsin/server/inbox"
)

// Limits of an import.
const (
	// MaxLine is the longest line, in bytes.
	MaxLine = 64 << 10
	// MaxRefusals is how many refused lines a Report lists; all are counted.
	MaxRefusals = 100
	// importBatch is how many lines are appended at once.
	importBatch = 500
)

// A Report says what an import did. It is its answer on the wire.
type Report struct {
	Lines     int       `json:"lines"`     // not empty ones
	Devices   int       `json:"devices"`   // lines about a device that were taken
	Users     int       `json:"users"`     // lines about a user that were taken
	Changed   int       `json:"changed"`   // of both, those that changed something
	Rejected  int       `json:"rejected"`  // lines refused
	Refused   []Refusal `json:"refused"`   // the first of them
	Truncated bool      `json:"truncated"` // more were refused than are listed
}

// A Refusal says why a line was refused.
type Refusal struct {
	Line   int    `json:"line"` // from 1
	Detail string `json:"detail"`
}

func (r *Report) refuse(line int, detail string) {
	r.Rejected++
	if len(r.Refused) < MaxRefusals {
		r.Refused = append(r.Refused, Refusal{Line: line, Detail: detail})
	} else {
		r.Truncated = true
	}
}

// Import reads JSON Lines, {"device":"…","groups":[…]} or
// {"user":"…","groups":[…]}; no groups: the device is forgotten, the user loses
// his. A bad line is refused and spoils no other. On an error the report says
// what was done before.
func (d *Directory) Import(ctx context.Context, r io.Reader) (Report, error) {
	report := Report{Refused: []Refusal{}}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), MaxLine)
	batch := make([]line, 0, importBatch)
	named := map[name]bool{}
	flush := func() error {
		changed, err := d.put(ctx, batch)
		if err != nil {
			return err
		}
		report.Changed += changed
		for _, l := range batch {
			if l.Device != "" {
				report.Devices++
			} else {
				report.Users++
			}
		}
		batch = batch[:0]
		clear(named)
		return nil
	}
	for n := 1; in.Scan(); n++ {
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		report.Lines++
		l, err := parseLine(text)
		if err != nil {
			report.refuse(n, err.Error())
			continue
		}
		key := name{l.Device, l.User}
		if named[key] || len(batch) == importBatch {
			if err := flush(); err != nil {
				return report, fmt.Errorf("import up to line %d: %w", n-1, err)
			}
		}
		named[key] = true
		batch = append(batch, l)
	}
	if err := in.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = inbox.Fieldf("line", "at most %d bytes", MaxLine)
		}
		return report, fmt.Errorf("read line %d: %w", report.Lines+1, err)
	}
	if err := flush(); err != nil {
		return report, fmt.Errorf("import the last lines: %w", err)
	}
	return report, nil
}

// A name is what a line is about.
type name struct{ device, user string }

func parseLine(text []byte) (line, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return l, err
	}
	return l, l.check()
}
