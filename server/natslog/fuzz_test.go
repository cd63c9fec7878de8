package natslog

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tocsin/server/inbox"
)

// archive writes a backup of one stream with this manifest; empty is the right one.
func archive(t testing.TB, manifest, config, messages string) []byte {
	t.Helper()
	if manifest == "" {
		text, err := json.Marshal(Manifest{Format: backupFormat, Version: "v1", Streams: []BackupStream{{Name: streamName,
			Config: fmt.Sprintf("%x", sha256.Sum256([]byte(config))), Data: fmt.Sprintf("%x", sha256.Sum256([]byte(messages)))}}})
		if err != nil {
			t.Fatal(err)
		}
		manifest = string(text)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{manifestFile: manifest, streamName + streamFile: config, streamName + messagesFile: messages} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A file is a whole backup, or refused as none.
func FuzzOpenBackup(f *testing.F) {
	good := archive(f, "", `{"config":{"name":"LOG"}}`, "messages")
	f.Add(good)
	f.Add(good[:len(good)-30])
	f.Add(archive(f, `{"format":99}`, "", ""))
	f.Add(archive(f, `{"format":1,"streams":[{"name":"LOG"},{"name":"../x"}]}`, "", ""))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := OpenBackup(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if !errors.Is(err, ErrBackup) {
				t.Errorf("an error that is none of ours: %v", err)
			}
			return
		}
		if b.Format != backupFormat || b.Log().Name != streamName {
			t.Errorf("accepted %+v", b.Manifest)
		}
		for _, s := range b.Streams {
			if _, err := (&Log{}).restoreRequest(b, s.Name); err != nil && s.Name == "" {
				t.Errorf("a stream without a name: %v", err)
			}
		}
	})
}

// What a manifest says, whatever else is in the archive, is a whole backup or none.
func FuzzManifest(f *testing.F) {
	f.Add(`{"format":1,"streams":[{"name":"LOG"}]}`, `{"config":{}}`)
	f.Add(`{"format":1,"streams":null}`, ``)
	f.Add(`{"format":1,"streams":[{"name":"LOG"},{"name":"LOG"}]}`, `null`)
	f.Add(``, `{"config":null,"state":7}`)
	f.Fuzz(func(t *testing.T, manifest, config string) {
		data := archive(t, manifest, config, "messages")
		b, err := OpenBackup(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if !errors.Is(err, ErrBackup) {
				t.Errorf("an error that is none of ours: %v", err)
			}
			return
		}
		for _, s := range b.Streams {
			if text, err := (&Log{}).restoreRequest(b, s.Name); err == nil && !json.Valid(text) {
				t.Errorf("the request is %s", text)
			}
		}
	})
}

// The topic of a subject is the one that a client has published to.
func FuzzMQTTTopic(f *testing.F) {
	for _, s := range []string{"alarms.d1", "alarms.a//b", "/.alarms.x./", "", ".", "//", "a/./b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		if topic := mqttTopic(subject); len(topic) > len(subject) {
			t.Errorf("%q becomes %q", subject, topic)
		}
	})
}

// Values of the buckets that are no such thing are errors or nobody's.
func FuzzStoredValues(f *testing.F) {
	f.Add([]byte("17"))
	f.Add([]byte("e.1.h run holder"))
	f.Add([]byte(" "))
	f.Add([]byte("-1"))
	f.Fuzz(func(t *testing.T, value []byte) {
		seq, err := parsePosition("read", value)
		if err == nil && strings.TrimLeft(string(value), "0") != strings.TrimLeft(fmt.Sprint(seq), "0") {
			t.Errorf("%q is read as %d", value, seq)
		}
		h, ok := parseParked(value)
		if !ok {
			return
		}
		if again, ok := parseParked(h.value()); !ok || again != h {
			t.Errorf("%q is read as %+v, and that as %+v, %v", value, h, again, ok)
		}
		if _, err := inbox.ParseCursor(h.cursor.String()); err != nil {
			t.Errorf("%q holds a place at %v", value, h.cursor)
		}
	})
}
