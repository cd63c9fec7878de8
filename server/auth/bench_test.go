package auth

import "testing"

// What the cache saves: each algorithm with the token remembered and without.
func BenchmarkVerify(b *testing.B) {
	k := ring()
	for _, alg := range []string{hs256, rs256, es256, edDSA} {
		token := tokenOf(b, alg, "")
		for _, c := range []struct {
			name string
			size int
		}{{"cached", 0}, {"uncached", -1}} {
			v := newVerifier(b, Options{HS256: secret, PEM: pemOf(b, k.rsa, k.ec, k.ed), CacheSize: c.size})
			b.Run(alg+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := v.Verify(b.Context(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
