package stomp

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// read takes all frames of the pieces.
func read(v version, pieces ...[]byte) (frames []frame, err error) {
	p := parser{version: v}
	for _, piece := range pieces {
		for len(piece) > 0 {
			var f *frame
			if f, piece, err = p.next(piece); err != nil {
				return frames, err
			}
			if f != nil {
				frames = append(frames, *f)
			}
		}
	}
	return frames, nil
}

func TestFramesAreReadAsAStream(t *testing.T) {
	stream := "\n\r\n\n" +
		"SEND\ndestination:/topic/a\n\nhello\x00\n" +
		"SEND\r\ndestination:/topic/b\r\ncontent-length:5\r\n\r\na\x00b\nc\x00" +
		"SEND\ndestination:first\ndestination:second\nx\\cy:1\\n2\\\\3\\r\n\n\x00\x00\n\n" +
		"DISCONNECT\nreceipt:77\n\n\x00"
	want := []frame{
		{command: "SEND", headers: []header{{"destination", "/topic/a"}}, body: []byte("hello")},
		{command: "SEND", headers: []header{{"destination", "/topic/b"}, {"content-length", "5"}}, body: []byte("a\x00b\nc")},
		{command: "SEND", headers: []header{{"destination", "first"}, {"destination", "second"}, {"x:y", "1\n2\\3\r"}}},
		{command: "DISCONNECT", headers: []header{{"receipt", "77"}}},
	}
	for size := 1; size <= len(stream); size++ {
		pieces := slices.Collect(slices.Chunk([]byte(stream), size))
		got, err := read(v12, pieces...)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("pieces of %d: %+v, %v\nwant %+v", size, got, err, want)
		}
	}
	if first := want[2].text("destination"); first != "first" {
		t.Errorf("of a header that is repeated %q counts", first)
	}
}

func TestHeadersAreEscapedPerVersion(t *testing.T) {
	for _, c := range []struct {
		version
		line, value string
		err         error
	}{
		{0, `h:a\nb:c`, `a\nb:c`, nil}, // CONNECT
		{v10, `h: a\nb:c `, `a\nb:c`, nil},
		{v11, `h: a\nb\cc\\ `, " a\nb:c\\ ", nil},
		{v11, `h:a\rb`, "", errEscapes},
		{v12, `h:a\rb`, "a\rb", nil},
		{v12, `h:a\tb`, "", errEscapes},
		{v12, `h:a\`, "", errEscapes},
		{v12, `\t:a`, "", errEscapes},
		{v12, `no colon`, "", errHeader},
		{v12, `:no name`, "", errHeader},
	} {
		got, err := read(c.version, []byte("X\n"+c.line+"\n\n\x00"))
		if err != c.err || err == nil && got[0].text("h") != c.value {
			t.Errorf("%d %q: %+v, %v", c.version, c.line, got, err)
		}
	}
	value := "a:b\\c\nd\re\x00"
	for v, want := range map[version]string{v10: "h:a:b\\c d e \n", v11: `h:a\cb\\c\nd e ` + "\n", v12: `h:a\cb\\c\nd\re ` + "\n"} {
		if got := string(v.appendHeader(nil, "h", value)); got != want {
			t.Errorf("%v writes %q, want %q", v, got, want)
		}
	}
}

func TestAFrameHasBounds(t *testing.T) {
	long := strings.Repeat("x", maxBody+1)
	for name, c := range map[string]struct {
		stream string
		err    error
	}{
		"body":           {"SEND\n\n" + long + "\x00", errBody},
		"body without":   {"SEND\n\n" + long, errBody},
		"length":         {"SEND\ncontent-length:65537\n\n", errBody},
		"huge length":    {"SEND\ncontent-length:99999999999999999999999\n\n", errBody},
		"bad length":     {"SEND\ncontent-length:-1\n\n", errLength},
		"no length":      {"SEND\ncontent-length:\n\n", errLength},
		"short length":   {"SEND\ncontent-length:1\n\nab\x00", errNull},
		"command":        {long, errHead},
		"header":         {"SEND\nh:" + long, errHead},
		"headers":        {"SEND\n" + strings.Repeat("h:1\n", maxHeaders+1), errHead},
		"many bytes":     {"SEND\n" + strings.Repeat("h:"+long[:1000]+"\n", 20), errHead},
		"NUL in head":    {"SEND\nh:1\x00", errEarly},
		"NUL in command": {"SE\x00ND", errEarly},
	} {
		for _, size := range []int{1, 7, len(c.stream)} {
			_, err := read(v12, slices.Collect(slices.Chunk([]byte(c.stream), size))...)
			if err != c.err {
				t.Errorf("%s in pieces of %d: %v, want %v", name, size, err, c.err)
			}
		}
	}
	whole, err := read(v12, []byte(fmt.Sprintf("SEND\ncontent-length:%d\n\n%s\x00", maxBody, long[:maxBody])))
	if err != nil || len(whole[0].body) != maxBody {
		t.Errorf("a body of the largest size: %v", err)
	}
}

func TestABodysLengthIsWrittenBeforeIt(t *testing.T) {
	for _, n := range []int{0, 9, 10, 12345} {
		b, at := openLength([]byte("X\n"))
		b = closeLength(append(b, strings.Repeat("y", n)...), at)
		if want := fmt.Sprintf("X\ncontent-length:%d\n\n%s\x00", n, strings.Repeat("y", n)); string(b) != want {
			t.Errorf("%d: %.60q", n, b)
		}
	}
}

// However a stream is cut, the same comes of it; nothing panics, nothing grows
// beyond its bounds, and what was read can be written and read again.
func FuzzParser(f *testing.F) {
	for _, seed := range []string{
		"CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\x00",
		"SEND\ndestination:/topic/a\ncontent-length:3\n\na\x00b\x00\n\n",
		"SUBSCRIBE\r\nid:0\r\ndestination:/user/queue/inbox\r\n\r\n\x00ACK\nid:x\\cy\n\n\x00",
		"\n\n\n", "SEND\n\nbody", "SEND\ncontent-length:99999999999\n\n", "SEND\nh\\:x\n\n\x00", "\x00\x00", "A\n:\n\n\x00", "A\n\n\xff\xfe\x00",
	} {
		f.Add([]byte(seed), uint64(1), uint8(12))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, v uint8) {
		spoken := version(v % 4)
		whole, wholeErr := read(spoken, stream)
		var pieces [][]byte
		rng := rand.New(rand.NewPCG(seed, 1))
		for rest := stream; len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		cut, cutErr := read(spoken, pieces...)
		if !reflect.DeepEqual(whole, cut) || wholeErr != cutErr {
			t.Fatalf("whole %+v, %v; in pieces %+v, %v", whole, wholeErr, cut, cutErr)
		}
		for _, f := range whole {
			if len(f.headers) > maxHeaders || len(f.body) > maxBody {
				t.Fatalf("a frame with %d headers and %d bytes", len(f.headers), len(f.body))
			}
			if spoken != v12 {
				continue // the others cannot say everything
			}
			b := []byte("X\n")
			for _, h := range f.headers {
				b = append(b, v12.appendHeader(nil, "h", h.value)...)
			}
			again, err := read(v12, append(b, '\n', 0))
			if err != nil || len(again) != 1 {
				t.Fatalf("written %q: %v", b, err)
			}
			for i, h := range f.headers {
				if again[0].headers[i].value != h.value {
					t.Fatalf("%q was written and read as %q", h.value, again[0].headers[i].value)
				}
			}
		}
	})
}
