package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// parsePEM reads public keys, one a block: PKIX, PKCS #1 for RSA, or those of
// certificates, whose dates and issuers are not looked at. Anything else in the
// document is an error: it is the operator's own, and a key left out silently
// would be noticed only by those it locks out.
func parsePEM(data []byte) ([]key, error) {
	var keys []key
	for n := 1; ; n++ {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		k, err := blockKey(block)
		if err != nil {
			return nil, fmt.Errorf("read block %d of the PEM document: %w", n, err)
		}
		keys = append(keys, k)
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no block in the PEM document")
	case len(bytes.TrimSpace(data)) > 0:
		return nil, fmt.Errorf("after block %d of the PEM document comes something else", len(keys))
	case len(keys) > maxKeys:
		return nil, fmt.Errorf("more than %d keys in the PEM document", maxKeys)
	}
	return keys, nil
}

func blockKey(block *pem.Block) (key, error) {
	var pub any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		pub, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		pub, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			pub = cert.PublicKey
		}
	default:
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return key{}, errors.New("it is a private key: want the public one")
		}
		return key{}, fmt.Errorf("unsupported type %q: want PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE", block.Type)
	}
	if err != nil {
		return key{}, fmt.Errorf("decode the key: %w", err)
	}
	return publicKey(pub)
}
