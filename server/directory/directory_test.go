package directory_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

func open(t *testing.T, log inbox.Log) (*directory.Directory, *inbox.View) {
	t.Helper()
	epoch, err := inbox.BeginEpoch(t.Context(), log, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	v, _ := inboxtest.StartView(t, log, inbox.ViewOptions{})
	return directory.New(directory.Options{Log: log, View: v, Epoch: epoch}), v
}

func TestPutAndForget(t *testing.T) {
	d, _ := open(t, &inbox.MemoryLog{})
	if err := d.PutDevice(t.Context(), "Kelmarsh 2", []string{"b", "a", "b"}); err != nil {
		t.Fatal(err)
	}
	if groups, known := d.Device("Kelmarsh 2"); !known || !slices.Equal(groups, []string{"a", "b"}) {
		t.Errorf("the device: %v, %v", groups, known)
	}
	if err := d.DeleteDevice(t.Context(), "Kelmarsh 2"); err != nil {
		t.Fatal(err)
	}
	if groups, known := d.Device("Kelmarsh 2"); known {
		t.Errorf("forgotten, and still %v", groups)
	}
	for _, groups := range [][]string{{"a", "b"}, {"b", "c"}, nil} {
		if err := d.PutUser(t.Context(), "ann", groups); err != nil {
			t.Fatal(err)
		}
		if got := d.User("ann"); !slices.Equal(got, groups) {
			t.Errorf("the user has %v, want %v", got, groups)
		}
	}
}

func TestSayingItAgainAppendsNothing(t *testing.T) {
	log := &inbox.MemoryLog{}
	d, _ := open(t, log)
	for range 3 {
		if err := d.PutDevice(t.Context(), "d", []string{"a"}); err != nil {
			t.Fatal(err)
		}
		if err := d.PutUser(t.Context(), "u", []string{"a"}); err != nil {
			t.Fatal(err)
		}
	}
	if b, _ := log.Bounds(t.Context()); b.Messages != 4 { // epoch, route, device, member
		t.Errorf("%d messages", b.Messages)
	}
}

func TestBadInput(t *testing.T) {
	d, _ := open(t, &inbox.MemoryLog{})
	for what, err := range map[string]error{
		"device": d.PutDevice(t.Context(), strings.Repeat("x", 65), []string{"a"}),
		"user":   d.PutUser(t.Context(), strings.Repeat("x", 129), []string{"a"}),
		"groups": d.PutUser(t.Context(), "u", slices.Repeat([]string{"a"}, 65)),
		"empty":  d.PutDevice(t.Context(), "d", nil),
		"nobody": d.PutUser(t.Context(), "", []string{"a"}),
	} {
		var field *inbox.FieldError
		if !errors.As(err, &field) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestImport(t *testing.T) {
	d, _ := open(t, &inbox.MemoryLog{})
	var in strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&in, "{\"device\":\"d%d\",\"groups\":[\"g%d\"]}\n", i, i%7)
	}
	in.WriteString("\nnot json\n{\"device\":\"x\",\"user\":\"y\"}\n{\"user\":7}\n")
	in.WriteString(`{"user":"ann","groups":["g1","g2"]}` + "\n" + `{"user":"ann","groups":["g3"]}` + "\n" + `{"device":"d0","groups":["g9"]}`)
	r, err := d.Import(t.Context(), strings.NewReader(in.String()))
	if err != nil {
		t.Fatal(err)
	}
	if r.Lines != 1206 || r.Devices != 1201 || r.Users != 2 || r.Rejected != 3 || r.Changed != 1203 {
		t.Errorf("%+v", r)
	}
	for i, line := range []int{1202, 1203, 1204} {
		if r.Refused[i].Line != line {
			t.Errorf("refused %+v, want line %d", r.Refused[i], line)
		}
	}
	if groups, _ := d.Device("d0"); !slices.Equal(groups, []string{"g9"}) {
		t.Errorf("d0: %v", groups)
	}
	if got := d.User("ann"); !slices.Equal(got, []string{"g3"}) {
		t.Errorf("ann: %v", got)
	}
	if _, err := d.Import(t.Context(), strings.NewReader(strings.Repeat("x", directory.MaxLine+1))); err == nil {
		t.Error("a line without an end was taken")
	}
}

func TestTwoNodesChangeTheSame(t *testing.T) {
	log := &inbox.MemoryLog{}
	a, va := open(t, log)
	b, vb := open(t, log)
	var all sync.WaitGroup
	for i := range 20 {
		for _, d := range []*directory.Directory{a, b} {
			all.Go(func() {
				if err := d.PutDevice(t.Context(), "d", []string{fmt.Sprint("g", i)}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	bounds, _ := log.Bounds(t.Context())
	inboxtest.Reach(t, va, bounds.Last)
	inboxtest.Reach(t, vb, bounds.Last)
	x, _ := a.Device("d")
	if y, _ := b.Device("d"); len(x) != 1 || !slices.Equal(x, y) {
		t.Errorf("one node has %v, the other %v", x, y)
	}
}
