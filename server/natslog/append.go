package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// Codes of the engine's refusals (nats-server, jetstream_errors_generated.go).
const (
	codeAccountResources   = 10002
	codeInsufficient       = 10023
	codeMemoryExceeded     = 10028
	codeStorageExceeded    = 10047
	codeMessageTooLarge    = 10054
	codeWrongLast          = 10071
	codeStoreFailed        = 10077
	codeHeaderTooLarge     = 10097
	codeNoRollup           = 10111
	codeDuplicateInFlight  = 10158
	codeWrongLastReplicate = 10164 // the same as 10071, while another one is being replicated
	codeTooManyRequests    = 10167
	codeSealed             = 10109
)

// Append implements [inbox.Log].
//
// What the engine answers with "not now", and with an ID also what it does not
// answer at all, is sent again until three AckTimeouts have passed. When the
// first attempt was stored after all, the receipt says Duplicate: it names the
// proposer's own message, which answers the event like any other first one.
func (l *Log) Append(ctx context.Context, proposals ...inbox.Proposal) []inbox.Receipt {
	receipts := make([]inbox.Receipt, len(proposals))
	if l.refuses(proposals) {
		for i := range receipts {
			receipts[i].Err = fmt.Errorf("append to %s: %w", proposals[i].Subject, inbox.ErrFull)
		}
		return receipts
	}
	b := &batch{log: l, proposals: proposals, receipts: receipts}
	pending := make([]int, len(proposals))
	for i := range pending {
		pending[i] = i
	}
	giveUp := time.Now().Add(3 * l.opts.AckTimeout)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		again, beaten := b.send(ctx, pending)
		b.recognize(ctx, beaten)
		if len(again) == 0 || time.Now().Add(wait).After(giveUp) || !l.pause(ctx, wait) {
			return receipts
		}
		pending = again
	}
}

// pause waits; false when the context or the log ended.
func (l *Log) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-l.closed:
	}
	return false
}

// batch is the proposals of one Append with what became of them.
type batch struct {
	log       *Log
	proposals []inbox.Proposal
	receipts  []inbox.Receipt
}

// send proposes the pending ones and settles their receipts. again are those
// worth another attempt, beaten those with an ID that lost the compare-and-set.
func (b *batch) send(ctx context.Context, pending []int) (again, beaten []int) {
	answers, err := b.log.appends.ask(ctx, b.log, len(pending), func(n int) *nats.Msg {
		p := &b.proposals[pending[n]]
		h := nats.Header{}
		if !p.Any {
			h[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(p.Expect, 10)}
		}
		if p.ID != "" {
			h[jetstream.MsgIDHeader] = []string{headerID(p.ID)}
		}
		return &nats.Msg{Subject: p.Subject, Header: h, Data: p.Data}
	})
	for n, i := range pending {
		p, r := &b.proposals[i], &b.receipts[i]
		retry := false
		*r, retry = answers[n].receipt(err)
		b.log.heed(ctx, streamName, p.ID, r.Err)
		switch {
		case r.Err == nil:
			continue
		case errors.Is(r.Err, inbox.ErrConflict) && p.ID != "":
			beaten = append(beaten, i)
		case retry || p.ID != "" && errors.Is(r.Err, inbox.ErrUnavailable) && !errors.Is(r.Err, errSealed):
			again = append(again, i)
		}
		r.Err = fmt.Errorf("append to %s: %w", p.Subject, r.Err)
	}
	return again, beaten
}

// recognize finds those among the beaten whose event is stored already: their
// receipt is the first one's.
//
// A replicated stream looks at the id first, but a stream of one replica makes
// the compare-and-set first, so that a retry of an event whose subject has moved
// on, by that very event for instance, is told of a conflict. The id is then
// asked for by itself (docs/decisions/0011), with a message that cannot be
// stored: the engine looks at Nats-Rollup after it has looked for the id, the
// stream permits none, and this one is none that there is.
func (b *batch) recognize(ctx context.Context, beaten []int) {
	if len(beaten) == 0 {
		return
	}
	answers, err := b.log.appends.ask(ctx, b.log, len(beaten), func(n int) *nats.Msg {
		p := &b.proposals[beaten[n]]
		return &nats.Msg{Subject: p.Subject, Header: nats.Header{
			jetstream.MsgIDHeader: {headerID(p.ID)},
			jetstream.MsgRollup:   {"none"},
		}}
	})
	for n, i := range beaten {
		a := &answers[n]
		if a.Error.ErrCode == codeNoRollup {
			continue // never stored: the conflict stands
		}
		if r, _ := a.receipt(err); r.Err == nil {
			b.receipts[i] = r
		} else {
			b.receipts[i].Err = unavailable("look for the id of "+b.proposals[i].Subject, r.Err)
		}
	}
}

// headerID writes an id so that a header carries it unchanged: white space would
// be trimmed, and two ids become one. What is escaped contains a =, what is not
// does not, so different ids stay different.
func headerID(id string) string {
	odd := strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '=' })
	if odd {
		return inbox.Escape(id)
	}
	return id
}

// answer is the engine's answer to one append. The zero answer is none at all.
type answer struct {
	Stream    string `json:"stream"`
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
	Error     struct {
		ErrCode     int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
	sent error // why it was not even sent
}

var (
	errNoAnswer = errors.New("no answer in time")
	errNoLeader = errors.New("nobody leads the stream")
	errSealed   = errors.New("the log has had its last backup")
)

// receipt reads the answer; waiting is why there was none. again says that
// certainly nothing was stored and that a later attempt may succeed.
func (a *answer) receipt(waiting error) (r inbox.Receipt, again bool) {
	switch code := a.Error.ErrCode; {
	case a.sent != nil && errors.Is(a.sent, nats.ErrMaxPayload):
		r.Err = inbox.ErrTooLarge
	case a.sent != nil:
		r.Err, again = fmt.Errorf("%w: %w", inbox.ErrUnavailable, a.sent), true
	case code == 0 && a.Seq != 0:
		r.Seq, r.Duplicate = a.Seq, a.Duplicate
	case code == 0 && waiting == nil:
		r.Err = fmt.Errorf("%w: an answer that is none", inbox.ErrUnavailable)
	case code == 0:
		r.Err = fmt.Errorf("%w: %w", inbox.ErrUnavailable, waiting)
	case code == codeSealed:
		r.Err = fmt.Errorf("%w: %w", inbox.ErrUnavailable, errSealed)
	case code == codeWrongLast || code == codeWrongLastReplicate:
		r.Err = inbox.ErrConflict
	case code == codeDuplicateInFlight:
		r.Err, again = fmt.Errorf("%w: %w", inbox.ErrUnavailable, errInProcess), true
	case code == codeTooManyRequests:
		r.Err, again = fmt.Errorf("%w: %s", inbox.ErrUnavailable, a.Error.Description), true
	case code == codeMessageTooLarge, code == codeHeaderTooLarge,
		code == codeStoreFailed && strings.Contains(a.Error.Description, "too large"):
		r.Err = inbox.ErrTooLarge
	case code == codeInsufficient, code == codeMemoryExceeded, code == codeStorageExceeded,
		code == codeAccountResources, code == codeStoreFailed:
		r.Err = fmt.Errorf("%w: %s", inbox.ErrFull, a.Error.Description)
	default:
		r.Err = fmt.Errorf("%w: %s (%d)", inbox.ErrUnavailable, a.Error.Description, code)
	}
	return r, again
}

// parse reads an answer off the wire.
func (a *answer) parse(m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		a.sent = errNoLeader
		return
	}
	if err := json.Unmarshal(m.Data, a); err != nil {
		*a = answer{}
	}
}
