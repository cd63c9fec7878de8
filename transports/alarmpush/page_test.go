package alarmpush

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "tocsin/transports/alarmpush/alarmpushpb"
)

var shown = regexp.MustCompile("(?m)^\\| \\w+ \\| `(.*?)` \\| `([0-9a-f ]+)` \\|$")

// The frames of the page are what they are said to be, to the byte.
func TestThePageShowsRealFrames(t *testing.T) {
	page, err := os.ReadFile("../../docs/compat/alarm-push.md")
	if err != nil {
		t.Fatal(err)
	}
	all := shown.FindAllSubmatch(page, -1)
	if len(all) != 4 {
		t.Fatalf("%d frames on the page", len(all))
	}
	for _, m := range all {
		text, err := hex.DecodeString(strings.ReplaceAll(string(m[2]), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var want, got pb.Frame
		if err := prototext.Unmarshal(m[1], &want); err != nil {
			t.Fatalf("%s: %v", m[1], err)
		}
		if err := proto.Unmarshal(text, &got); err != nil || !proto.Equal(&want, &got) {
			t.Errorf("%s is %v, %v", m[1], &got, err)
		}
		again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(&want)
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%s is % x, %v", m[1], again, err)
		}
	}
}
