package natslog_test

import (
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// A leader that was stopped for a moment may hold an id for one in process for ever
// after. The event is stored all the same, once, whoever is asked.
func TestALeaderThatHoldsAnIDForInProcessIsReplaced(t *testing.T) {
	c := newNodes(t)
	c.start(t)
	append1 := func(l *natslog.Log, id string, expect uint64) inbox.Receipt {
		return l.Append(t.Context(), inbox.Proposal{Subject: "alarm.d.t._", Expect: expect, ID: id, Data: []byte("{}")})[0]
	}
	if r := append1(c.logs[0], "first", 0); r.Err != nil {
		t.Fatal(r.Err)
	}
	leader := c.logs[slices.IndexFunc(c.logs, (*natslog.Log).Leads)]
	holdInProcess(t, leader.Engine(), "LOG", "held")
	if r := append1(c.logs[1], "held", 1); r.Err != nil || r.Seq != 2 || r.Duplicate {
		t.Errorf("the event: %+v", r)
	}
	if leader.Leads() {
		t.Error("the leader has stayed")
	}
	for i, l := range c.logs {
		if r := append1(l, "held", 1); r.Err != nil || r.Seq != 2 || !r.Duplicate {
			t.Errorf("the event again at %d: %+v", i, r)
		}
	}
}

// holdInProcess has the engine note an id as that of a message that it is storing.
func holdInProcess(t *testing.T, engine *server.Server, stream, id string) {
	t.Helper()
	account, err := engine.LookupAccount(server.DEFAULT_GLOBAL_ACCOUNT)
	if err != nil {
		t.Fatal(err)
	}
	streams := field(reflect.ValueOf(account).Elem(), "js").Elem()
	all := field(streams, "mu").Addr().Interface().(*sync.RWMutex)
	all.RLock()
	held := field(streams, "streams").MapIndex(reflect.ValueOf(stream)).Elem()
	all.RUnlock()
	noted := field(held, "ddMu").Addr().Interface().(*sync.Mutex)
	noted.Lock()
	defer noted.Unlock()
	ids, list := field(held, "ddmap"), field(held, "ddarr")
	entry := reflect.New(ids.Type().Elem().Elem())
	field(entry.Elem(), "id").SetString(id)
	field(entry.Elem(), "ts").SetInt(time.Now().UnixNano())
	ids.SetMapIndex(reflect.ValueOf(id), entry)
	// What has been stored stands behind it, as after such a stop.
	list.Set(reflect.AppendSlice(reflect.Append(reflect.MakeSlice(list.Type(), 0, 2), entry), list))
}

// field is one that has no name outside of its package, as if it had.
func field(of reflect.Value, name string) reflect.Value {
	f := of.FieldByName(name)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}
