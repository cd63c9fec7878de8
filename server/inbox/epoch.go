package inbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// keptEpochs bounds the list of former epochs; a cursor of an older one is told
// so by a gap.
const keptEpochs = 512

// BeginEpoch appends the node's start to the log as its first write, and
// returns the name that its entries carry from then on. Names rise, whatever
// the clock says.
func BeginEpoch(ctx context.Context, log Log, now time.Time) (string, error) {
	for {
		var former []Epoch
		var expect uint64
		m, err := log.Newest(ctx, SubjectEpoch)
		switch {
		case err == nil:
			e, err := Decode(m)
			if err != nil {
				return "", fmt.Errorf("read the last epoch: %w", err)
			}
			former, expect = e.Epochs, m.Seq
			if n := len(former); n > 0 && former[n-1].First == 0 {
				former[n-1].First = m.Seq
			}
		case !errors.Is(err, ErrNotFound):
			return "", fmt.Errorf("read the last epoch: %w", err)
		}
		if n := len(former); n > keptEpochs {
			former = former[n-keptEpochs:]
		}
		name := epochName(now, former)
		e := Entry{Subject: SubjectEpoch, Epoch: name, Quiet: true, Epochs: append(former, Epoch{Name: name})}
		r := log.Append(ctx, Proposal{Subject: SubjectEpoch, Expect: expect, Data: e.Encode()})[0]
		if errors.Is(r.Err, ErrConflict) {
			continue
		}
		if r.Err != nil {
			return "", fmt.Errorf("begin an epoch: %w", r.Err)
		}
		return name, nil
	}
}

// epochName is the time in milliseconds, nine characters of base 36, which
// suffice until the year 5188, and three by chance.
func epochName(now time.Time, former []Epoch) string {
	ms := now.UnixMilli()
	if n := len(former); n > 0 && len(former[n-1].Name) >= 9 {
		if last, err := strconv.ParseInt(former[n-1].Name[:9], 36, 64); err == nil {
			ms = max(ms, last+1)
		}
	}
	stamp := strconv.FormatInt(ms, 36)
	for len(stamp) < 9 {
		stamp = "0" + stamp
	}
	var b [3]byte
	rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[b[i]%36]
	}
	return stamp + string(b[:])
}
