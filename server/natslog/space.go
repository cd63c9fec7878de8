package natslog

import (
	"time"

	"tocsin/server/inbox"
)

// Full says that free space is below the reserve, or that the engine has met a full
// disk: appends are refused, reading goes on.
func (l *Log) Full() bool { return l.full.Load() || l.engine.met() }

// refuses says that nothing is stored for want of space, and that this is no node's
// start, which is small and stored while there is some: else none could start for
// readers to go on.
func (l *Log) refuses(proposals []inbox.Proposal) bool {
	starts := len(proposals) == 1 && proposals[0].Subject == inbox.SubjectEpoch
	return l.Full() && (!starts || l.scant.Load() || l.engine.met())
}

// scantSpace is the free space below which nothing at all is stored.
const scantSpace = 16 << 20

// Broken is closed when the engine has met a full disk, because others took what was
// reserved faster than it is measured, and there is room again: until the log is opened
// anew the engine stores nothing. Readers go on until then.
func (l *Log) Broken() <-chan struct{} { return l.broken }

// watchSpace measures once, so that a full disk is known from the start, and
// then goes on in the background.
func (l *Log) watchSpace() {
	l.measureSpace()
	l.wg.Add(1)
	// Ends when the log is closed.
	go func() {
		defer l.wg.Done()
		tick := time.NewTicker(l.opts.ReserveInterval)
		defer tick.Stop()
		for {
			select {
			case <-l.closed:
				return
			case <-tick.C:
				l.measureSpace()
			}
		}
	}()
}

// measureSpace opens or shuts the gate. What cannot be measured leaves it as it
// was.
func (l *Log) measureSpace() {
	free, err := l.opts.FreeSpace(l.opts.Dir)
	if err != nil {
		l.opts.Logger.Warn("measure free space", "dir", l.opts.Dir, "error", err)
		return
	}
	reserve := max(l.opts.Reserve, 0)
	if l.engine.met() && free >= uint64(max(reserve, scantSpace)) {
		l.breaks.Do(func() {
			l.opts.Logger.Error("the engine met a full disk and stores nothing any more: there is room again, the log has to be opened anew", "dir", l.opts.Dir)
			close(l.broken)
		})
	}
	l.scant.Store(free < scantSpace)
	full := free < uint64(reserve)
	if l.full.Swap(full) == full {
		return
	}
	if full {
		l.opts.Logger.Error("free space is below the reserve: appends are refused", "dir", l.opts.Dir, "free", free, "reserve", reserve)
	} else {
		l.opts.Logger.Info("free space is above the reserve again", "dir", l.opts.Dir, "free", free, "reserve", reserve)
	}
}
