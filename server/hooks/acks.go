package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// Positions keep how far followers of the log have come. natslog has them.
type Positions interface {
	// Get returns the sequence that was set last, 0 when none was.
	Get(ctx context.Context, name string) (uint64, error)
	// Set stores the sequence; a lower one changes nothing.
	Set(ctx context.Context, name string, seq uint64) error
}

const (
	// acksPosition is the name of FollowAcks' position.
	acksPosition = "hooks-acks"
	// saveEvery is how often the position is stored at most. What was put after it
	// is put again after a crash, under the same ids.
	saveEvery = time.Second
)

// FollowAcks puts every acknowledgement that is told into the queues, from where it
// stood when it last ran; the first time, from the log's end. It runs until the
// context ends.
func (h *Hooks) FollowAcks(ctx context.Context, log inbox.Source, positions Positions) {
	for ctx.Err() == nil {
		err := h.followAcks(ctx, log, positions)
		if ctx.Err() == nil {
			h.o.Logger.Warn("follow the acknowledgements: again in a second", "error", err)
			pause(ctx, time.Second)
		}
	}
}

// BeginAcks notes where the first FollowAcks is to begin: call it before anything
// can be acknowledged.
func (h *Hooks) BeginAcks(ctx context.Context, log inbox.Source, positions Positions) error {
	_, err := begin(ctx, log, positions)
	return err
}

// begin is the position to go on from.
func begin(ctx context.Context, log inbox.Source, positions Positions) (uint64, error) {
	seq, err := positions.Get(ctx, acksPosition)
	if err != nil {
		return 0, fmt.Errorf("read how far the acknowledgements were told: %w", err)
	}
	bounds, err := log.Bounds(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask for the end of the log: %w", err)
	}
	if seq != 0 {
		return min(seq, bounds.Last), nil // the log may have lost its end
	}
	if err := positions.Set(ctx, acksPosition, bounds.Last); err != nil {
		return 0, fmt.Errorf("store how far the acknowledgements were told: %w", err)
	}
	return bounds.Last, nil
}

func (h *Hooks) followAcks(ctx context.Context, log inbox.Source, positions Positions) error {
	seq, err := begin(ctx, log, positions)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	reached := make(chan uint64, 1) // the newest only
	// Ends with done.
	go func() {
		defer close(done)
		h.save(ctx, positions, reached)
	}()
	err = log.Scan(ctx, inbox.Scan{From: seq + 1, Follow: true}, func(m inbox.Message) error {
		if err := h.follow(ctx, m); err != nil {
			return err
		}
		select {
		case <-reached:
		default:
		}
		reached <- m.Seq
		return nil
	})
	close(reached)
	<-done
	if err == nil {
		err = errors.New("the tail ended")
	}
	return err
}

// save stores the position, at intervals, until the channel is closed.
func (h *Hooks) save(ctx context.Context, positions Positions, reached <-chan uint64) {
	for seq := range reached {
		if err := positions.Set(ctx, acksPosition, seq); err != nil && ctx.Err() == nil {
			h.o.Logger.Warn("store how far the acknowledgements were told", "error", err)
		}
		pause(ctx, saveEvery)
	}
}

// follow puts the message's acknowledgement, if it is one, into the queues.
func (h *Hooks) follow(ctx context.Context, m inbox.Message) error {
	if !strings.HasPrefix(m.Subject, "alarm.") {
		return nil
	}
	e, err := inbox.Decode(m)
	if err != nil {
		return err
	}
	if e.Status != alarm.StatusAcked || e.Quiet {
		return nil
	}
	var said struct {
		By    string          `json:"by"`
		Note  string          `json:"note"`
		Time  time.Time       `json:"time"`
		Alarm json.RawMessage `json:"alarm"`
	}
	if err := json.Unmarshal(e.Body, &said); err != nil {
		return fmt.Errorf("read the acknowledgement %d: %w", e.Seq, err)
	}
	body, err := message(Acked, said.Time, struct {
		Alarm json.RawMessage `json:"alarm"`
		By    string          `json:"by"`
		Note  string          `json:"note"`
		Entry uint64          `json:"entry"`
	}{said.Alarm, said.By, said.Note, e.Seq})
	if err != nil {
		return err
	}
	// A lost tail of the log gives its sequences to others: the epoch tells them
	// apart.
	return h.put(ctx, fmt.Sprintf("acked_%s_%d", e.Epoch, e.Seq), body)
}
