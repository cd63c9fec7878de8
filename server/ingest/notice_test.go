package ingest_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
)

func TestNoticesKeepWhatTheirSendersAdd(t *testing.T) {
	const text = `{"receiverId":1002,"message":"first\nsecond","tripId":7,"senderId":"eve","read":true,"createdTime":1,"noticeId":"n1","x":{"a":"<"}}`
	for _, one := range []struct {
		publisher bool
		id, data  string
	}{
		{false, "", `{"notices":{"tripId":7,"x":{"a":"<"}}}`},
		{true, "n1", `{"notices":{"senderId":"eve","tripId":7,"x":{"a":"<"}}}`},
	} {
		n, err := ingest.ParseNotice([]byte(text), one.publisher)
		if err != nil || len(n.Users) != 1 || n.Users[0] != "1002" || n.Title != "first" || n.Body != "first\nsecond" || n.ID != one.id || string(n.Data) != one.data {
			t.Errorf("%+v %s, %v", n, n.Data, err)
		}
	}
	n, err := ingest.ParseNotice([]byte(`{"receiverId":"ada","message":"m","title":"T"}`), false)
	if err != nil || n.Title != "T" || n.Body != "m" || n.Data != nil {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestBadNotices(t *testing.T) {
	long := strings.Repeat("x", alarm.MaxNoticeBytes+1)
	for text, field := range map[string]string{
		`{"message":"m"}`: "receiverId", `{"receiverId":"","message":"m"}`: "receiverId", `{"receiverId":true,"message":"m"}`: "receiverId",
		`{"receiverId":"` + strings.Repeat("x", 129) + `","message":"m"}`: "receiverId",
		`{"receiverId":"a"}`: "message", `{"receiverId":"a","message":""}`: "message", `{"receiverId":"a","message":" \n "}`: "message",
		`{"receiverId":"a","message":5}`: "message", `{"receiverId":"a","message":"` + long + `"}`: "message",
		`{"receiverId":"a","message":"m","title":"` + strings.Repeat("x", 257) + `"}`:    "title",
		`{"receiverId":"a","message":"m","more":"` + long + `"}`:                         "the rest",
		`{"receiverId":"a","message":"m","noticeId":"` + strings.Repeat("x", 300) + `"}`: "noticeId",
		`[]`: "", `null`: "", ``: "", `x`: "",
	} {
		_, err := ingest.ParseNotice([]byte(text), true)
		var at *inbox.FieldError
		if field == "" && !errors.Is(err, alarm.ErrMalformed) || field != "" && (!errors.As(err, &at) || at.Field != field) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func FuzzNotice(f *testing.F) {
	for _, seed := range []string{`{"receiverId":"a","message":"b","c":[{}]}`, `{"receiverId":1,"message":"\u2028"}`, `{"receiverId":"\ud800","message":"x"}`, `{`, "\xff"} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, publisher bool) {
		n, err := ingest.ParseNotice(text, publisher)
		if err == nil && (n.Check() != nil || len(n.Data) > 0 && !json.Valid(n.Data)) {
			t.Errorf("%q gives %+v: %v", text, n, n.Check())
		}
	})
}
