package main

import (
	"fmt"
	"io"
	"log/slog"

	"tocsin/server/auth"
)

// authOptions reads the keys that the settings name.
func authOptions(s settings, logger *slog.Logger) (auth.Options, error) {
	o := auth.Options{
		Algorithms: s.Algorithms, JWKSURL: s.JWKSURL, Audience: s.Audience, Issuer: s.Issuer,
		Leeway: s.Leeway, Logger: logger,
	}
	if s.Leeway == 0 {
		o.Leeway = -1 // auth's word for none
	}
	var err error
	if s.Secret != "" {
		if o.HS256, err = auth.Secret([]byte(s.Secret)); err != nil {
			return o, fmt.Errorf("read the secret from %s: %w", setting{name: "jwt-hs256"}.env(), err)
		}
	}
	if s.SecretFile != "" {
		if o.HS256, err = auth.ReadSecret(s.SecretFile, logger); err != nil {
			return o, err
		}
	}
	if s.PEMFile != "" {
		if o.PEM, err = auth.ReadPEM(s.PEMFile); err != nil {
			return o, err
		}
	}
	if s.JWKSFile != "" {
		if o.JWKS, err = auth.ReadJWKS(s.JWKSFile); err != nil {
			return o, err
		}
	}
	return o, nil
}

// newLogger logs to w as the settings say.
func newLogger(s settings, w io.Writer) *slog.Logger {
	return newLoggerAt(s, w, levelOf(s))
}

// levelOf is the least level that is logged.
func levelOf(s settings) (level slog.Level) {
	_ = level.UnmarshalText([]byte(s.LogLevel)) // one of the table's words
	return level
}

// newLoggerAt is newLogger with a level that may change.
func newLoggerAt(s settings, w io.Writer, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if s.LogFormat == formatJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
