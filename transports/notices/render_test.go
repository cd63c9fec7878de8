package notices

import (
	"encoding/json"
	"testing"
)

func TestEntriesAsNotices(t *testing.T) {
	const alarm = `{"id":"a.1","device":"d1","type":"overspeed","severity":"major","acked_by":"ada","message":"92 km/h"}`
	for entry, want := range map[string]string{
		`{"seq":7,"type":"alarm.raised","time":"T","by":"ingest","alarm":` + alarm + `}`: `{"id":"7","type":"alarm.raised","createdTime":"T","senderId":"d1","message":"92 km/h","alarm":` + alarm,
		`{"seq":8,"type":"alarm.acked","time":"T","by":"ada","alarm":` + alarm + `}`:     `{"id":"8","type":"alarm.acked","createdTime":"T","senderId":"d1","message":"92 km/h [acknowledged by ada]","alarm":` + alarm,
		`{"seq":9,"type":"alarm.new-word","time":"T","by":"x","alarm":{"device":"d1","type":"t","severity":"minor","message":""}}`: `{"id":"9","type":"alarm.new-word","createdTime":"T","senderId":"d1",` +
			`"message":"t, minor [new-word]","alarm":{"device":"d1","type":"t","severity":"minor","message":""}`,
		`{"seq":10,"type":"alarm.removed","time":"T","by":"directory","alarm":{"device":"d1","type":"t"}}`: `{"id":"10","type":"alarm.removed","createdTime":"T","senderId":"d1","message":"t [removed]","alarm":{"device":"d1","type":"t"}`,
		`{"seq":11,"type":"notice","time":"T","by":"x","notice":{"id":"u.1.2","from":"boss","title":"A","body":"","data":null}}`: `{"id":"11","type":"notice","createdTime":"T",` +
			`"noticeId":"u.1.2","senderId":"boss","title":"A","message":"A"`,
		`{"seq":12,"type":"notice","time":"T","by":"x","notice":{"id":"u.1.2","from":"boss","title":"A","body":"B","data":{"k":1}}}`: `{"id":"12","type":"notice","createdTime":"T",` +
			`"data":{"k":1},"noticeId":"u.1.2","senderId":"boss","title":"A","message":"B"`,
		`{"seq":13,"type":"notice","time":"T","by":"x","notice":{"id":"u.1.2","from":"boss","title":"A","body":"B","data":{"notices":{"tripId":7,"senderId":"eve","read":true,"a\"b":null}}}}`: `{"id":"13","type":"notice","createdTime":"T",` +
			`"noticeId":"u.1.2","senderId":"eve","title":"A","message":"B","a\"b":null,"tripId":7`,
	} {
		got := string(appendNotice(nil, []byte(entry)))
		if got != want {
			t.Errorf("%s\ngives %s\nwant  %s", entry, got, want)
		}
		if !json.Valid([]byte(got + "}")) {
			t.Errorf("%s}", got)
		}
	}
}
