package natslog

import "time"

// Full says that free space is below the reserve: appends are refused, reading
// goes on.
func (l *Log) Full() bool { return l.full.Load() }

// watchSpace measures once, so that a full disk is known from the start, and
// then goes on in the background.
func (l *Log) watchSpace() {
	if l.opts.Reserve < 0 {
		return
	}
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
	full := free < uint64(l.opts.Reserve)
	if l.full.Swap(full) == full {
		return
	}
	if full {
		l.opts.Logger.Error("free space is below the reserve: appends are refused", "dir", l.opts.Dir, "free", free, "reserve", l.opts.Reserve)
	} else {
		l.opts.Logger.Info("free space is above the reserve again", "dir", l.opts.Dir, "free", free, "reserve", l.opts.Reserve)
	}
}
