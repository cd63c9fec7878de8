package alarmpush

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"tocsin/server/alarm"
	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
	pb "tocsin/transports/alarmpush/alarmpushpb"
)

func TestStateHasOneWordForTwoThings(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, c := range []struct {
		typ           string
		active, acked bool
		ackedAt       time.Time
		want          string
	}{
		{"alarm.raised", true, false, early, unhandled},
		{"alarm.cleared", false, false, early, unhandled},
		{"alarm.unacked", true, false, early, unhandled},
		{"alarm.acked", true, true, early, handled},
		{"alarm.acked", false, true, late, handled},
		{"alarm.acked", false, true, early, handled}, // by clocks that disagree
		{"alarm.shelved", true, true, early, handled},
		{"alarm.cleared", false, true, early, cleared},
		{"alarm.commented", false, true, early, cleared},
		{"alarm.commented", false, true, late, handled},
		{"alarm.removed", false, false, early, removed},
	} {
		var e entry
		text := fmt.Sprintf(`{"type":%q,"alarm":{"active":%v,"acked":%v,"acked_at":%q,"cleared_at":%q}}`,
			c.typ, c.active, c.acked, c.ackedAt.Format(time.RFC3339), time.Unix(1, 500e6).Format(time.RFC3339Nano))
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if got := e.state(); got != c.want {
			t.Errorf("%+v is %s", c, got)
		}
	}
}

// A line is a connection whose client takes everything at once.
type line struct {
	mu     sync.Mutex
	sent   [][]byte
	closes []transports.Closing
	silent bool // what is sent is not kept
}

func (l *line) Headroom() int { return 10 }

func (l *line) Try(m []byte) (bool, error) { return true, l.Send(m[l.Headroom():]) }

func (l *line) Settle() error { return nil }

func (l *line) Send(text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.silent {
		l.sent = append(l.sent, append([]byte{}, text...))
	}
	return nil
}

func (l *line) Close(code int, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closes = append(l.closes, transports.Closing{Code: code, Reason: reason})
}

// frames are those that were sent, decoded, and how often it was closed.
func (l *line) frames(t testing.TB) (all []*pb.Frame, closes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.sent {
		f := &pb.Frame{}
		if err := proto.Unmarshal(b, f); err != nil || f.Kind == nil {
			t.Fatalf("%x: %v", b, err)
		}
		all = append(all, f)
	}
	return all, len(l.closes)
}

// A host hears of the end.
type host struct{ ended chan error }

func (host) Known(*transports.Dialogue, transports.Identity) {}
func (host) Delivers() (func(inbox.Reach), func())           { return nil, func() {} }
func (h host) Ended(why error)                               { h.ended <- why }

var errToken = errors.New("no token")

// newOptions are those of a node on whose log there is an alarm for ann.
func newOptions(t testing.TB) *Options {
	log := &inbox.MemoryLog{}
	epoch, err := inbox.BeginEpoch(t.Context(), log, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	v, _ := inboxtest.StartView(t, log, inbox.ViewOptions{Unassigned: []string{"unassigned"}})
	dir := directory.New(directory.Options{Log: log, View: v, Epoch: epoch})
	engine := alarm.New(alarm.Options{Log: log, View: v, Router: dir, Epoch: epoch, Unassigned: []string{"unassigned"}})
	if err := dir.PutUser(t.Context(), "ann", []string{"unassigned"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range engine.Publish(t.Context(), "tests", []alarm.Event{{Device: "d", Type: "fire", Severity: "major"}}) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		inboxtest.Reach(t, v, r.Seq)
	}
	o := &Options{
		Authenticate: func(_ context.Context, token string) (transports.Identity, error) {
			if token == "" {
				return transports.Identity{}, errToken
			}
			return transports.Identity{Client: transports.Client{User: strings.ToValidUTF8(token, "?")}}, nil
		},
		Refusal: func(err error) (int, string) { return 401, err.Error() },
	}
	o.View, o.Pump = v, transports.NewPump(transports.Limits{})
	go o.Pump.Run(t.Context()) // ends with the test
	return o
}

// Whatever a client sends, it is answered in frames or closed, once, and others are
// not disturbed.
func FuzzReceive(f *testing.F) {
	seed := func(frames ...*pb.Frame) {
		var all []byte
		for _, one := range frames {
			b, err := proto.Marshal(one)
			if err != nil {
				f.Fatal(err)
			}
			all = append(append(all, byte(len(b))), b...)
		}
		f.Add(all)
	}
	login := func(token, cursor string) *pb.Frame {
		return &pb.Frame{Kind: &pb.Frame_Login{Login: &pb.Login{Token: token, Cursor: cursor}}}
	}
	beat := &pb.Frame{Kind: &pb.Frame_Heartbeat{Heartbeat: &pb.Heartbeat{UnixMs: -1}}}
	seed(login("ann", "earliest"), beat, login("ann", ""), login("bob", ""))
	seed(beat, beat, login("", "x"))
	seed(login("ann", "a.1.b.s2"), &pb.Frame{})
	seed(login("ann", "\x00"), loginReply(&pb.LoginReply{Ok: true}))
	seed(&pb.Frame{Kind: &pb.Frame_Alarm{Alarm: &pb.AlarmNotice{Cursor: "c"}}})
	f.Add([]byte{3, 0xff, 0xff, 0xff, 2, 0x0a, 0x7f, 5, 0x0a, 0x03, 0x0a, 0x01, 0xff})
	f.Add([]byte{4, 0x0a, 0xff, 0xff, 0x7f, 6, 0x22, 0x04, 0x08, 0xff, 0xff, 0xff})
	o := newOptions(f)
	f.Fuzz(func(t *testing.T, all []byte) {
		l, h := &line{}, host{make(chan error, 1)}
		c := Begin(l, h, o)
		for len(all) > 0 {
			n := min(int(all[0]), len(all)-1)
			c.Receive(all[1 : 1+n])
			all = all[1+n:]
		}
		c.Gone()
		<-h.ended
		if _, closes := l.frames(t); closes != 1 {
			t.Errorf("closed %d times", closes)
		}
	})
}
