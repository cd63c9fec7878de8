package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"tocsin/server/hooks"
	"tocsin/server/redissession"
	"tocsin/transports/carrier/sockjs"
)

// A settings is everything that `tocsin serve` can be told. Its fields are bound
// to names by table, and described in tocsin.yml, which is the manual.
type settings struct {
	Node                  string
	HTTP, Ops, MQTT       string
	TLSCert, TLSKey       string
	Admin                 string
	AllowedOrigins        []string
	TokenInURL            bool
	Data, Sync            string
	SyncInterval          time.Duration
	Reserve, Window       int64
	DedupeWindow          time.Duration
	DeviceTime            string
	Fold                  time.Duration
	AutoClear             map[string]time.Duration
	UnassignedGroups      []string
	Evidence, Audit       time.Duration
	HookURLs, HookEvents  []string
	HookSecretFile        string
	HookTimeout           time.Duration
	Retention             time.Duration
	RetentionBytes        int64
	Secret, SecretFile    string
	PEMFile               string
	JWKSFile, JWKSURL     string
	Algorithms            []string
	Audience, Issuer      string
	Leeway                time.Duration
	CallbackURL           string
	CallbackTimeout       time.Duration
	RedisURL, RedisKey    string
	RedisField            string
	Compat, PublishFrom   []string
	AlarmPushPath         string
	OplinkPath            string
	AppPushPath           string
	AppPushIdle           time.Duration
	NoticesPath           string
	StompPath, SockJSPath string
	SockJSClient          string
	SockJSCookie          bool
	StompApps             map[string]string
	StompSend             string
	Ping, StreamLifetime  time.Duration
	ClientRetry           time.Duration
	Connections           int
	AuthTimeout           time.Duration
	DeadAfter             time.Duration
	PollBusy, PollIdle    time.Duration
	WriteTimeout          time.Duration
	HeaderTimeout         time.Duration
	BodyTimeout           time.Duration
	AnswerTimeout         time.Duration
	IdleTimeout           time.Duration
	FrameEntries          int
	FrameBytes, PageBytes int64
	BatchEvents           int
	BatchBytes            int64
	Drain, Linger         time.Duration
	LeaseTTL              time.Duration
	LogLevel, LogFormat   string

	// acceptLoss is of the command line alone: it is for one start, not for a file.
	acceptLoss bool

	clusterSettings
	limitSettings
}

// Words of the settings that choose.
const (
	syncAlways, syncInterval = "always", "interval"
	timeClamp, timeTrust     = "clamp", "trust"
	adminOps, adminPublic    = "ops", "public"
	formatText, formatJSON   = "text", "json"
	sendUsers, sendPublish   = "users", "publish"
)

// defaults are the settings when nothing is said.
func defaults() settings {
	return settings{
		HTTP: "127.0.0.1:8080", Ops: "127.0.0.1:8081",
		AllowedOrigins: []string{}, TokenInURL: true,
		Data: "data", Sync: syncInterval, SyncInterval: time.Second,
		Retention: 30 * day, Evidence: 7 * day, Audit: 365 * day,
		Reserve: 512 << 20, Window: 64 << 20, DedupeWindow: 10 * time.Minute,
		Admin: adminOps, DeviceTime: timeClamp, Fold: time.Minute, AutoClear: map[string]time.Duration{}, UnassignedGroups: []string{"unassigned"},
		HookURLs: []string{}, HookEvents: []string{string(hooks.Acked), string(hooks.Undelivered)}, HookTimeout: hooks.DefaultTimeout,
		Algorithms: []string{}, Leeway: 5 * time.Second,
		CallbackTimeout: 2 * time.Second, RedisKey: "session:" + redissession.InKey, RedisField: "uid",
		Compat: slices.Clone(compatNames), PublishFrom: []string{},
		AlarmPushPath: "/ws/alarm", OplinkPath: "/message-center", AppPushPath: "/push", AppPushIdle: 605 * time.Second, NoticesPath: "/notice",
		StompPath: "/stomp", SockJSPath: "/endpoint-websocket", SockJSClient: sockjs.ClientURL,
		StompApps: map[string]string{"v1/chat": "chat/v1"}, StompSend: sendUsers,
		Ping: 20 * time.Second, StreamLifetime: 10 * time.Minute, ClientRetry: 2 * time.Second,
		Connections: 20, AuthTimeout: 10 * time.Second, DeadAfter: 45 * time.Second,
		PollBusy: 5 * time.Second, PollIdle: 30 * time.Second, WriteTimeout: 5 * time.Second,
		HeaderTimeout: 10 * time.Second, BodyTimeout: 30 * time.Second, AnswerTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		FrameEntries: 100, FrameBytes: 64 << 10, PageBytes: 1 << 20, BatchEvents: 5000, BatchBytes: 5 << 20,
		Drain: 30 * time.Second, Linger: 5 * time.Second, LeaseTTL: 10 * time.Second,
		LogLevel: "info", LogFormat: formatText,
		limitSettings:   defaultLimits(),
		clusterSettings: clusterSettings{ClusterName: "tocsin", ClusterPeers: []string{}},
	}
}

// check says what single settings cannot: which of them do not go together.
func (s *settings) check() error {
	var errs []error
	wrong := func(bad bool, text string) {
		if bad {
			errs = append(errs, errors.New(text))
		}
	}
	if err := s.checkLog(); err != nil {
		errs = append(errs, err)
	}
	wrong(cmp.Or(s.Secret, s.SecretFile, s.PEMFile, s.JWKSFile, s.JWKSURL) == "",
		"jwt-hs256-file: want a key to verify tokens with: make one with 'tocsin secret FILE', "+
			"or set jwt-pem-file, jwt-jwks-file, jwt-jwks-url or "+setting{name: "jwt-hs256"}.env())
	wrong(s.Secret != "" && s.SecretFile != "", "jwt-hs256-file: want this or "+setting{name: "jwt-hs256"}.env()+", not both")
	wrong(strings.Count(s.RedisKey, redissession.InKey) != 1, "session-redis-key: want "+redissession.InKey+" in it, once")
	wrong(len(s.HookURLs) > 0 && s.HookSecretFile == "", "hook-secret-file: want a secret to sign with: make one with 'tocsin secret FILE'")
	wrong(len(s.HookURLs) > 0 && s.Evidence == 0 && slices.Contains(s.HookEvents, string(hooks.Undelivered)),
		"hook-events: want alarm.undelivered left out, or evidence to know it from")
	wrong(s.MQTT != "" && s.NATSURL != "", "mqtt: want none with nats-url, only the embedded log listens for MQTT")
	wrong(s.Retention > 0 && s.Retention < 2*s.DedupeWindow, "retention: want 0 or at least twice dedupe-window, else events sent again find no first answer")
	wrong((s.TLSCert == "") != (s.TLSKey == ""), "tls-cert-file: want it and tls-key-file together")
	wrong(s.HTTP == s.Ops && !strings.HasSuffix(s.HTTP, ":0"), "ops: want another address than http")
	return errors.Join(errs...)
}
