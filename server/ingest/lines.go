package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"tocsin/server/alarm"
)

// Lines reads a body of any length line by line, in little memory.
type Lines struct {
	r *bufio.Reader
	n int
	b []byte
}

// NewLines reads from r.
func NewLines(r io.Reader) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 32<<10)}
}

// Next returns the next line that is not empty, without the space around it, and
// its number, from 1; it is good until the next call. Of a line that is longer
// than an event may be it returns one byte more than that, and passes over the
// rest. The error is that of the body, io.EOF at its end: with it there is no line.
func (l *Lines) Next() (text []byte, number int, err error) {
	for {
		long, err := l.line()
		if err != nil {
			return nil, l.n, err
		}
		l.n++
		if long {
			return l.b[:alarm.MaxEventBytes+1], l.n, nil
		}
		if text = bytes.TrimSpace(l.b); len(text) > 0 {
			return text[:min(len(text), alarm.MaxEventBytes+1)], l.n, nil
		}
	}
}

// line reads up to the end of the line, as far as it is of interest; long says
// that there was more than that.
func (l *Lines) line() (long bool, err error) {
	const most = alarm.MaxEventBytes + len("\r\n")
	l.b = l.b[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		n := min(len(part), most-len(l.b))
		l.b = append(l.b, part[:n]...)
		long = long || n < len(part)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(l.b) > 0: // the last line may have no end
			return long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return false, err
		}
	}
}
