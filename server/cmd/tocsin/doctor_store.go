package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"tocsin/server/filestore"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// restoring is the advice where messages are gone.
const restoring = "restore a backup into an empty directory ('tocsin restore'), or go on without what is lost by one start with --accept-loss"

// checkStore reads everything that is stored.
func (d *doctor) checkStore(ctx context.Context) error {
	o, err := d.conf.logOptions(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		d.say("settings", stateWarn, err.Error(), "the data are checked as those of a node alone")
		o = natslog.Options{SyncAlways: d.conf.Sync == syncAlways, SyncInterval: d.conf.SyncInterval}
	}
	o.Dir, o.Stored = d.Dir, inbox.IsStored
	e := newEntryCheck()
	r, err := natslog.Examine(ctx, o, func(m filestore.Message) error {
		e.take(&m)
		return nil
	})
	if err != nil {
		return err
	}
	if len(r.Streams) == 0 {
		d.say("streams", stateWarn, "nothing is stored here", "is this the directory that --data names?")
		return nil
	}
	for i := range r.Streams {
		d.checkStream(&r.Streams[i])
	}
	if log := r.Stream(natslog.StreamName); log == nil {
		d.say("log", stateFail, "there is no log among what is stored", restoring)
	} else {
		e.report(d, log)
	}
	return nil
}

// checkStream says in one line what the files of a stream are worth.
func (d *doctor) checkStream(s *filestore.Stream) {
	found := fmt.Sprintf("%s: %d messages, %d to %d, %s in %d files", s.Name, s.Messages, s.First, s.Last, sizeText(uint64(s.Bytes)), len(s.Blocks))
	problems := strings.Join(s.Problems(), "; ")
	switch {
	case s.Closed != "":
		d.say("stream", stateWarn, s.Name+": "+s.Closed, "it cannot be checked from outside")
	case s.Loses():
		d.say("stream", stateFail, found+"; "+problems, restoring)
	case s.Mendable():
		d.say("stream", stateWarn, found+"; "+problems, "the next start puts the damaged files aside and goes on; readers who have seen more are told")
	case problems != "":
		d.say("stream", stateWarn, found+"; "+problems, "the next start makes it anew")
	case s.Index == filestore.IndexDamaged:
		d.say("stream", stateWarn, found+"; its index is damaged", "the next start makes it anew")
	default:
		d.say("stream", stateOK, found+", each with its checksum", "")
	}
}

// A newestOf keeps the newest value of each key of the small streams beside the log.
type newestOf map[string]map[string][]byte

func (n newestOf) take(m *filestore.Message) {
	key, isBucket := bytes.CutPrefix(m.Subject, []byte("$KV."))
	if !isBucket || m.Account != filestore.Account {
		return
	}
	bucket, rest, _ := strings.Cut(string(key), ".")
	if n[bucket] == nil {
		n[bucket] = map[string][]byte{}
	}
	if len(m.Data) == 0 { // deleted
		delete(n[bucket], rest)
		return
	}
	n[bucket][rest] = bytes.Clone(m.Data)
}

// some joins the first few of a list.
func some(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
