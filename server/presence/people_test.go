package presence

import (
	"testing"
	"time"
)

func TestPeopleAreListedOnceWithAllThatTheyUse(t *testing.T) {
	now := time.Now()
	began := now
	r := New(Options{Node: "n1", Now: func() time.Time { return now }})
	r.Connect("ada", "websocket")
	now = now.Add(time.Minute)
	r.Connect("ada", "websocket")
	_, answered := r.Poll("ada", "poll", nil)
	_, answeredBob := r.Poll("bob", "poll", nil)
	r.Poll("bill", "longpoll", []string{"crew"})
	answered()
	answeredBob()
	asked := now
	now = now.Add(10 * time.Second)

	page, next, total, crowds := r.People(Look{Limit: 2})
	if total != 3 || next != "bill" || len(page) != 2 {
		t.Fatalf("%+v %q %d", page, next, total)
	}
	ada := page[0]
	if ada.User != "ada" || !ada.Since.Equal(began) || !ada.Seen.Equal(now) || len(ada.Over) != 2 ||
		ada.Over[0].Transport != "poll" || !ada.Over[0].Seen.Equal(asked) || ada.Over[1].Connections != 2 || !ada.Over[1].Seen.Equal(now) {
		t.Errorf("%+v", ada)
	}
	if crowds["websocket"] != (Crowd{1, 2}) || crowds["poll"] != (Crowd{2, 2}) || crowds["longpoll"] != (Crowd{1, 1}) {
		t.Errorf("%+v", crowds)
	}
	page, next, _, _ = r.People(Look{Limit: 2, After: next})
	if len(page) != 1 || page[0].User != "bob" || next != "" || !page[0].Seen.Equal(asked) {
		t.Errorf("%+v %q", page, next)
	}
	if page, _, total, _ := r.People(Look{Limit: 9, Prefix: "b", Transport: "longpoll"}); total != 1 || page[0].User != "bill" || !page[0].Seen.Equal(now) {
		t.Errorf("%+v %d", page, total)
	}
}
