package natslog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"tocsin/server/inbox"
)

// A parkedPlace is where a connection of a client without a cursor is, or has
// ended. In the bucket it is "cursor", or "cursor run holder" while a connection of
// that start of a node holds it.
type parkedPlace struct {
	key         string
	revision    uint64
	cursor      inbox.Cursor
	run, holder string
}

func (p *parkedPlace) value() []byte {
	if p.holder == "" {
		return []byte(p.cursor.String())
	}
	return []byte(p.cursor.String() + " " + p.run + " " + p.holder)
}

// parseParked reads what value has written; ok is false for a cursor from which
// nobody could go on.
func parseParked(value []byte) (p parkedPlace, ok bool) {
	parts := strings.Split(string(value), " ")
	var err error
	if p.cursor, err = inbox.ParseCursor(parts[0]); err != nil {
		return p, false
	}
	if len(parts) == 3 && parts[2] != "" {
		p.run, p.holder = parts[1], parts[2]
	}
	return p, true
}

// RunHeld says, until the context ends, that this start of the node runs. Without
// it the places that are held here are taken for those of a dead node.
func (p *Places) RunHeld(ctx context.Context) error {
	tick := time.NewTicker(runEvery)
	defer tick.Stop()
	for {
		if err := p.beat(ctx); err != nil && ctx.Err() == nil {
			p.runs.log.opts.Logger.Warn("say that the node runs", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *Places) beat(ctx context.Context) error {
	return p.runs.Update(ctx, p.run, func([]byte) ([]byte, error) { return []byte(time.Now().UTC().Format(time.RFC3339)), nil })
}

// Hold says from where a connection that begins has to deliver so that nothing is
// lost to the user: from the oldest place that one of his left within an hour, which
// is then this one's to hold and nobody else's; and from no later than where those
// are that he has still, since his client may have given one of them up already.
// Both are empty if there is none. A node that died has left its places.
func (p *Places) Hold(ctx context.Context, name, user string) (place, from string, err error) {
	all, err := p.places(ctx, placeKey(name, user)+".>")
	if err != nil {
		return "", "", err
	}
	var oldest inbox.Cursor // of those that are held
	for i := range all {
		if h := &all[i]; h.holder != "" && (oldest.Epoch == "" || h.cursor.Seq < oldest.Seq) {
			oldest, from = h.cursor, h.cursor.String()
		}
	}
	for i := range all {
		h := &all[i]
		if h.holder != "" {
			continue
		}
		if oldest.Epoch == "" || h.cursor.Seq < oldest.Seq {
			oldest = h.cursor
		}
		h.cursor, h.run, h.holder = oldest, p.run, nuid.Next()
		err := p.write(ctx, h)
		switch {
		case errors.Is(err, inbox.ErrConflict): // another one was faster, or the hour is over
			continue
		case err != nil:
			return "", "", err
		}
		return h.key + " " + h.holder, h.cursor.String(), nil
	}
	return "", from, nil
}

// Keep notes how far the connection that holds the place has certainly come; with
// an empty place it is its first. It returns the place that it holds then: another
// one, if the old one was taken for a dead node's. A place is forgotten an hour
// after it was kept last.
func (p *Places) Keep(ctx context.Context, name, user, place, cursor string) (string, error) {
	at, err := inbox.ParseCursor(cursor)
	if err != nil {
		return place, fmt.Errorf("keep a place: %w", err)
	}
	if err := p.move(ctx, place, at, true); place != "" && !errors.Is(err, inbox.ErrConflict) {
		return place, err
	}
	h := parkedPlace{
		key: fmt.Sprintf("%s.%019d.%s", placeKey(name, user), time.Now().UnixNano(), nuid.Next()), cursor: at, run: p.run, holder: nuid.Next(),
	}
	return h.key + " " + h.holder, p.parked.Create(ctx, h.key, h.value())
}

// Leave ends the holding of the place, for the user's next connection to take.
func (p *Places) Leave(ctx context.Context, place, cursor string) error {
	at, err := inbox.ParseCursor(cursor)
	if err != nil {
		return fmt.Errorf("leave a place: %w", err)
	}
	if err := p.move(ctx, place, at, false); !errors.Is(err, inbox.ErrConflict) {
		return err
	}
	return nil // whoever took it delivers what follows it
}

// move replaces the cursor of a place, unless somebody else holds it.
func (p *Places) move(ctx context.Context, place string, to inbox.Cursor, hold bool) error {
	key, holder, ok := strings.Cut(place, " ")
	if !ok {
		return inbox.ErrConflict
	}
	return p.parked.Update(ctx, key, func(old []byte) ([]byte, error) {
		h := parkedPlace{cursor: to}
		if old != nil && !bytes.HasSuffix(old, []byte(" "+holder)) {
			return nil, fmt.Errorf("%s: %w", p.parked.doing("move", key), inbox.ErrConflict)
		}
		if hold {
			h.run, h.holder = p.run, holder
		}
		return h.value(), nil
	})
}

// write replaces a place that was read.
func (p *Places) write(ctx context.Context, h *parkedPlace) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := p.parked.kv.Update(ctx, h.key, h.value(), h.revision)
	switch {
	case err == nil:
		return nil
	case beaten(err):
		return fmt.Errorf("%s: %w", p.parked.doing("take", h.key), inbox.ErrConflict)
	}
	return unavailable(p.parked.doing("take", h.key), err)
}

// places lists the user's, the oldest first. Those that a dead node held are held
// by nobody.
func (p *Places) places(ctx context.Context, filter string) (all []parkedPlace, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	doing := p.parked.doing("list", filter)
	watcher, err := p.parked.kv.Watch(ctx, filter, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, unavailable(doing, err)
	}
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case entry := <-watcher.Updates():
			if entry == nil { // that was all
				return all, p.bury(ctx, all)
			}
			if h, ok := parseParked(entry.Value()); ok {
				h.key, h.revision = entry.Key(), entry.Revision()
				all = append(all, h)
			}
		case <-ctx.Done():
			return nil, unavailable(doing, ctx.Err())
		}
	}
}

// bury makes those places nobody's whose node is dead, and puts all in order.
func (p *Places) bury(ctx context.Context, all []parkedPlace) error {
	alive := map[string]bool{p.run: true}
	for i := range all {
		h := &all[i]
		if h.holder == "" {
			continue
		}
		if _, asked := alive[h.run]; !asked {
			_, err := p.runs.kv.Get(ctx, h.run)
			if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
				return unavailable(p.runs.doing("read", h.run), err)
			}
			alive[h.run] = err == nil
		}
		if !alive[h.run] {
			h.run, h.holder = "", ""
		}
	}
	slices.SortFunc(all, func(a, b parkedPlace) int {
		return cmp.Or(cmp.Compare(a.cursor.Seq, b.cursor.Seq), cmp.Compare(a.key, b.key))
	})
	return nil
}
