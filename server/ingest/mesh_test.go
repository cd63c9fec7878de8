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

func TestAMeshObjectIsANoticeThatKeepsItsFrame(t *testing.T) {
	for _, one := range []struct{ d, title, body string }{
		{`{"event":"@user","data":{"uid":1001,"msg":"Hello,World!"}}`, "Hello,World!", ""},
		{`{"event":"@user","data":{"uid":1001,"msg":"first\nsecond"}}`, "first", "first\nsecond"},
		{`{"event":"@user","data":{"uid":1001,"msg":{"title":"T","content":"C","n":1}}}`, "T", "C"},
		{`{"event":"@user","data":{"uid":1001,"msg":{"message":"only"}}}`, "only", ""},
		{`{"event":"@user","data":{"uid":1001,"msg":[1,2]}}`, "[1,2]", ""},
		{`{"event":"@user","data":{"uid":1001,"msg":" "}}`, `{"event":"@user","data":{"uid":1001,"msg":" "}}`, ""},
		{`{"a":1}`, `{"a":1}`, ""},
		{"no JSON <b>\u2028", "no JSON <b>", "no JSON <b>\u2028"},
		{" \n ", "message", " \n "},
		{strings.Repeat("é", 300), strings.Repeat("é", 256), strings.Repeat("é", 300)},
	} {
		d, _ := json.Marshal(one.d)
		m, err := ingest.ParseMesh([]byte(`{"c":"user:1001","d":` + string(d) + `}`))
		if err != nil {
			t.Errorf("%q: %v", one.d, err)
			continue
		}
		n := m.Notice
		var data map[string]string
		if err := json.Unmarshal(n.Data, &data); err != nil || data[ingest.Oplink] != one.d {
			t.Errorf("%q is kept as %s", one.d, n.Data)
		}
		if n.Title != one.title || n.Body != one.body || len(n.Users) != 1 || n.Users[0] != "1001" || n.Check() != nil {
			t.Errorf("%q: %q, %q for %q; %v", one.d, n.Title, n.Body, n.Users, n.Check())
		}
	}
}

func TestMeshEnvelopes(t *testing.T) {
	m, err := ingest.ParseMesh([]byte(`{"m":"mesh.publish","p":{"c":"user:ada","d":"x","t":"text","id":"7"},"i":12345}`))
	if err != nil || string(m.Ref) != "12345" || m.Notice.ID != "7" || m.Notice.Users[0] != "ada" {
		t.Errorf("%+v, %v", m, err)
	}
	m, err = ingest.ParseMesh([]byte(`{"c":"user:ada","i":{"a":1},"id":"8"}`))
	if field := (*inbox.FieldError)(nil); !errors.As(err, &field) || field.Field != "d" || string(m.Ref) != `{"a":1}` {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestBadMeshObjects(t *testing.T) {
	for text, field := range map[string]string{
		`{"c":"group:1","d":"x"}`: "c", `{"c":"user:","d":"x"}`: "c", `{"d":"x"}`: "c",
		`{"c":"user:` + strings.Repeat("x", 129) + `","d":"x"}`: "c",
		`{"c":"user:1","d":""}`:                                 "d", `{"c":"user:1","d":null}`: "d",
		`{"c":"user:1","d":"` + strings.Repeat("x", alarm.MaxNoticeBytes) + `"}`: "d",
		`{"c":"user:1","d":"x","t":"binary"}`:                                    "t",
		`{"c":"user:1","d":"x","id":"` + strings.Repeat("x", 300) + `"}`:         "id",
		`{"m":"mesh.send","p":{"c":"1","d":"x"}}`:                                "m",
		`[]`: "", `x`: "", ``: "", `{"c":1}`: "", `{"m":"mesh.publish"}`: "", `{"c":"user:1","d":{"a":1}}`: "",
	} {
		_, err := ingest.ParseMesh([]byte(text))
		var at *inbox.FieldError
		if field == "" && !errors.Is(err, alarm.ErrMalformed) || field != "" && (!errors.As(err, &at) || at.Field != field) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func FuzzMesh(f *testing.F) {
	for _, seed := range []string{
		`{"c":"user:1001","d":"{\"event\":\"@user\",\"data\":{\"uid\":1001,\"msg\":\"hi\"}}"}`,
		`{"m":"mesh.publish","p":{"c":"user:1","d":"x"},"i":1}`, `{"c":"user:\ud800","d":"\udfff"}`, `{"d":"\u0000"}`, `[[[[`, `{"c":`, "\xff\xfe",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ingest.ParseMesh(text)
		if err == nil && m.Notice.Check() != nil {
			t.Errorf("%q gives %+v: %v", text, m.Notice, m.Notice.Check())
		}
	})
}
