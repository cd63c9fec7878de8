package filestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Loses says whether messages of the stream are gone that no power failure explains.
// Damage in the log that no message is missing after was in what had been deleted.
func (s *Stream) Loses() bool { return len(s.Missing) > 0 || len(s.Faults) > 0 && !s.isLog }

// Mendable says whether there is something for Mend to do.
func (s *Stream) Mendable() bool {
	return len(s.Faults) > 0 || s.End != nil || len(s.useless) > 0 || s.isLog && s.Short()
}

// Short says that the index knows of messages beyond the stream's end. They were
// stored once.
func (s *Stream) Short() bool { return s.Index == IndexWhole && s.Indexed > s.Last && s.Closed == "" }

// Problems says in words what is wrong with the stream.
func (s *Stream) Problems() (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if s.Config != "" {
		add("its configuration cannot be read and is made anew: %s", s.Config)
	}
	for i, f := range s.Faults {
		if i == mostProblems {
			add("and %d more places like these", len(s.Faults)-i)
			break
		}
		add("%s at %d: %s, between %s", f.File, f.Offset, f.Why, between(f))
	}
	for i, m := range s.Missing {
		if i == mostProblems {
			add("and %d more ranges", len(s.Missing)-i)
			break
		}
		add("%d messages are lost: %d to %d", m.Len(), m.First, m.Last)
	}
	if s.End != nil {
		add("it ends in the middle of what was being written (%s at %d: %s); it counts up to %d, and %d messages beyond do not. A power failure does this to what was not flushed",
			s.End.File, s.End.Offset, s.End.Why, s.Last, s.Beyond)
	}
	if s.isLog && s.Short() {
		add("it was known to reach to %d, and ends at %d", s.Indexed, s.Last)
	}
	for _, c := range s.Consumers {
		add("its consumer %s", c)
	}
	return list
}

// mostProblems bounds how many of one kind Problems tells of.
const mostProblems = 20

func between(f Fault) string {
	if f.After == 0 {
		return fmt.Sprintf("the beginning and %d", f.Before)
	}
	return fmt.Sprintf("%d and %d", f.After, f.Before)
}

// Mend takes what is damaged out of the named streams, and what lies beyond their
// ends, so that the engine finds nothing to drop. What it changes it first puts aside,
// in a folder below dir/damaged that it returns, together with the report. It returns
// an empty name if there is nothing to do. After an error some files may be mended
// and others not; a new examination says which.
func Mend(r *Report, now time.Time, streams ...*Stream) (aside string, err error) {
	m := &mender{dir: filepath.Join(r.Dir, "damaged", now.UTC().Format("20060102T150405.000000000Z"))}
	for _, s := range streams {
		if err := m.stream(s); err != nil {
			return m.dir, fmt.Errorf("mend the stream %s: %w", s.Name, err)
		}
	}
	if !m.did {
		return "", nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = writeSynced(filepath.Join(m.dir, "report.json"), text)
	}
	return m.dir, err
}

type mender struct {
	dir string
	did bool
}

func (m *mender) stream(s *Stream) error {
	touched := false
	for i, b := range s.Blocks {
		keep := b.good()
		switch {
		case s.End != nil && i > s.End.block:
			keep = nil
		case s.End != nil && i == s.End.block:
			keep = before(keep, int(s.End.Offset))
		}
		if len(keep) == 1 && keep[0] == (span{from: 0, to: int(b.Bytes)}) {
			continue
		}
		touched = true
		if err := m.rewrite(s, b.File, keep); err != nil {
			return err
		}
	}
	for _, path := range s.useless {
		if err := m.aside(s, path); err != nil {
			return err
		}
	}
	// An index that says otherwise would have the engine count what is not there.
	if touched || s.isLog && s.Short() {
		return m.aside(s, s.path("index.db"))
	}
	return nil
}

// good are the parts of a block that hold whole records.
func (b *Block) good() (keep []span) {
	at := 0
	for _, d := range b.damage {
		if d.from > at {
			keep = append(keep, span{from: at, to: d.from})
		}
		at = d.to
	}
	if int64(at) < b.Bytes {
		keep = append(keep, span{from: at, to: int(b.Bytes)})
	}
	return keep
}

// before cuts the parts off at an offset.
func before(keep []span, offset int) []span {
	for i := range keep {
		keep[i].to = min(keep[i].to, offset)
	}
	return slices.DeleteFunc(keep, func(s span) bool { return s.from >= s.to })
}

// rewrite leaves nothing of a block but the parts to keep.
func (m *mender) rewrite(s *Stream, file string, keep []span) error {
	path := s.path(file)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var left []byte
	for _, k := range keep {
		left = append(left, text[k.from:k.to]...)
	}
	if len(left) == 0 {
		return m.aside(s, path)
	}
	if err := m.copy(s, path); err != nil {
		return err
	}
	return writeSynced(path, left)
}

// copy gives a file of the stream a second name, aside, which it keeps when another
// file takes its first.
func (m *mender) copy(s *Stream, path string) error {
	inside, err := filepath.Rel(s.dir, path)
	if err != nil {
		return err
	}
	to := filepath.Join(m.dir, s.Account, s.Name, inside)
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	if err := os.Link(path, to); err != nil {
		return err
	}
	m.did = true
	return syncDir(filepath.Dir(to))
}

// aside moves a file of the stream aside, if it is there.
func (m *mender) aside(s *Stream, path string) error {
	err := m.copy(s, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = os.Remove(path)
	}
	return errors.Join(err, syncDir(filepath.Dir(path)))
}

// writeSynced writes a file that is on the disk, whole, before it has its name.
func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path+".mend", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return errors.Join(err, syncDir(filepath.Dir(path)))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
