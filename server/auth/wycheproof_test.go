package auth

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// vectors is a file of Project Wycheproof. A group's key is a JWK, or a document
// of them; public ones of asymmetric keys stand apart.
type vectors struct {
	TestGroups []struct {
		Comment         string
		Public, Private json.RawMessage
		Tests           []struct {
			TcID        int `json:"tcId"`
			Comment     string
			JWS, Result string
		}
	}
}

// notOffered are algorithms of valid vectors that this package does not have:
// their tokens must be refused. Wycheproof writes ES521 for ES512.
var notOffered = []string{"RS384", "RS512", "PS256", "PS384", "PS512", "HS384", "HS512", "ES512"}

// exceptions are the vectors on which this package and Wycheproof differ
// otherwise, with the reason.
var exceptions = map[string]map[int]string{
	"wp_jws.json": {
		367: "its text is that of the valid vector 357: the padding it is about is not in the file",
		370: "its text is that of the valid vector 357: the padding it is about is not in the file",
		372: "a character outside base64url in the header is passed over by lenient readers; here it is refused",
		373: "a character outside base64url in the payload is passed over by lenient readers; here it is refused",
	},
	"wp_jwk.json": {
		4: "of the two keys with one kid the second is no canonical base64url and is skipped, so nothing is ambiguous",
		7: "a key with the ROCA flaw is the issuer's to replace; finding one is not this package's job",
	},
}

// dataDir finds the directory of test data: $TOCSIN_DATA, or shared/data beside
// a directory above this one.
func dataDir() (string, bool) {
	if dir := os.Getenv("TOCSIN_DATA"); dir != "" {
		return dir, true
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		data := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(data); err == nil {
			return data, true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}

func TestWycheproof(t *testing.T) {
	dir, ok := dataDir()
	if !ok {
		t.Log("not run: no directory of test data ($TOCSIN_DATA, or shared/data beside the repository)")
		return
	}
	for _, name := range []string{"wp_jws.json", "wp_jwk.json"} {
		raw, err := os.ReadFile(filepath.Join(dir, "wycheproof", name))
		if os.IsNotExist(err) {
			t.Logf("not run: %v", err)
			continue
		}
		var file vectors
		if err := json.Unmarshal(must(t, raw, err), &file); err != nil {
			t.Fatal(err)
		}
		accepted, refused := 0, 0
		for _, g := range file.TestGroups {
			v, err := wycheproofVerifier(t, g.Public, g.Private)
			for _, c := range g.Tests {
				good := err == nil && accepts(t, v, c.JWS)
				want := c.Result == "valid" && !slices.Contains(notOffered, algOf(c.JWS))
				if _, differs := exceptions[name][c.TcID]; differs {
					want = !(c.Result == "valid")
				}
				if good != want {
					t.Errorf("%s %d (%s, %s): accepted is %v, want %v", name, c.TcID, g.Comment, c.Comment, good, want)
				}
				if good {
					accepted++
				} else {
					refused++
				}
			}
		}
		t.Logf("%s: %d accepted, %d refused", name, accepted, refused)
		for id, why := range exceptions[name] {
			t.Logf("%s: differs in %d: %s", name, id, why)
		}
	}
}

// accepts says whether the signature of a text is accepted; most payloads are no
// claims.
func accepts(t *testing.T, v *Verifier, jws string) bool {
	_, _, _, err := v.verifySignature(t.Context(), jws)
	return err == nil
}

func algOf(jws string) string {
	head, _, _ := strings.Cut(jws, ".")
	raw, _ := segment(head)
	m, _ := object(raw)
	alg, _ := text(m["alg"])
	return alg
}

// wycheproofVerifier takes the group's key. An error is the refusal of all its
// vectors.
func wycheproofVerifier(t *testing.T, public, private json.RawMessage) (*Verifier, error) {
	doc := public
	if doc == nil {
		doc = private
	}
	if m, err := object(doc); must(t, m, err)["keys"] == nil {
		doc = jwks(string(doc))
	}
	return New(t.Context(), Options{JWKS: doc})
}
