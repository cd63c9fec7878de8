package main

import (
	"math"
	"slices"
	"strings"
	"time"

	"tocsin/server/alarm"
)

// A setting is one line of the table: its name is the flag, the key in the file
// and, in capitals after TOCSIN_, the variable.
type setting struct {
	name  string
	value value
	help  string
	// secret settings have no flag, since a command line is public, and no key
	// in the file, which is often readable; and they are never printed.
	secret bool
	// reload: a running node takes a change over on SIGHUP; marked in tocsin.yml.
	reload bool
}

// env is the setting's variable.
func (s setting) env() string {
	return "TOCSIN_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// shown is the value as it may be printed.
func (s setting) shown() string {
	text := s.value.String()
	switch v := s.value.(type) {
	case urlValue:
		return withoutPassword(text)
	case listValue:
		if v.secret {
			return withoutPassword(text)
		}
	case textValue:
		if s.secret && text != "" {
			return redacted
		}
	}
	return text
}

const (
	day     = 24 * time.Hour
	maxSize = math.MaxInt64 / 2
)

// table binds every setting to its name, in the order of tocsin.yml. It alone
// drives flags, environment, file, help and `tocsin config`.
func (s *settings) table() []setting {
	return slices.Concat(
		s.connecting(), s.tokens(), s.meaning(), s.telling(), s.keeping(), s.severalMachines(),
		s.reading(), s.compatible(), s.patience(), s.sizes(), s.limiting(), s.running(),
	)
}

func textOf(p *string, kind string) value                    { return textValue{p, kind} }
func choice(p *string, words ...string) value                { return choiceValue{p, words} }
func span(p *time.Duration, least, most time.Duration) value { return durationValue{p, least, most} }
func sized(p *int64, least, most int64) value                { return sizeValue{p, least, most} }
func count(p *int, least, most int) value                    { return intValue{p, least, most} }

// connecting are the settings of who may connect, and where.
func (s *settings) connecting() []setting {
	return []setting{
		{name: "http", value: addressValue{&s.HTTP, false}, help: "where publishers and readers connect"},
		{name: "tls-cert-file", value: textOf(&s.TLSCert, "file"), help: "the certificate of https; empty for http"},
		{name: "tls-key-file", value: textOf(&s.TLSKey, "file"), help: "its key"},
		{name: "ops", value: addressValue{&s.Ops, true}, help: "health, metrics and profiles; empty for none"},
		{name: "admin", value: choice(&s.Admin, adminOps, adminPublic), help: "where administration and the console are served: with operation, or with everything else"},
		{name: "mqtt", value: addressValue{&s.MQTT, true}, help: "where MQTT clients publish; empty for nowhere"},
		{name: "allowed-origins", value: listValue{p: &s.AllowedOrigins, kind: "origins", fits: isOrigin, want: "web origins, such as https://noc.example.com, or *"}, help: "web origins besides our own whose pages may connect"},
		{name: "access-token-in-url", value: boolValue{&s.TokenInURL}, help: "accept ?access_token=, for clients that cannot send headers"},
	}
}

// tokens are the settings of whose tokens are believed.
func (s *settings) tokens() []setting {
	return []setting{
		{name: "jwt-hs256", value: textOf(&s.Secret, "secret"), secret: true, help: "the secret of HS256 itself"},
		{name: "jwt-hs256-file", value: textOf(&s.SecretFile, "file"), help: "the secret of HS256; make one with tocsin secret"},
		{name: "jwt-pem-file", value: textOf(&s.PEMFile, "file"), help: "public keys for RS256, ES256 and EdDSA"},
		{name: "jwt-jwks-file", value: textOf(&s.JWKSFile, "file"), help: "public keys as a JWKS document"},
		{name: "jwt-jwks-url", value: urlValue{&s.JWKSURL, []string{"http", "https"}, false}, help: "where an issuer publishes its JWKS document"},
		{name: "jwt-algorithms", value: listValue{p: &s.Algorithms, kind: "algorithms", fits: isAlgorithm, want: "HS256, RS256, ES256 or EdDSA"}, help: "accepted algorithms; empty for those of the keys"},
		{name: "jwt-audience", value: textOf(&s.Audience, "name"), help: "what aud must contain"},
		{name: "jwt-issuer", value: textOf(&s.Issuer, "name"), help: "what iss must be"},
		{name: "jwt-leeway", value: span(&s.Leeway, 0, 5*time.Minute), help: "how far clocks may differ"},
	}
}

// meaning are the settings of what alarms mean.
func (s *settings) meaning() []setting {
	return []setting{
		{name: "device-time", value: choice(&s.DeviceTime, timeClamp, timeTrust), help: "what a device's clock is worth"},
		{name: "fold", value: span(&s.Fold, 0, day), help: "time in which an alarm that repeats is told once; 0 tells everything"},
		{name: "auto-clear", value: spansValue{p: &s.AutoClear, fits: alarm.CheckType, least: time.Second, most: 365 * day}, help: "by type, how long after its last report an alarm counts as over"},
		{name: "unassigned-groups", value: listValue{p: &s.UnassignedGroups, kind: "groups", some: true}, help: "groups that see devices the directory does not know"},
	}
}

// telling are the settings of who else is told.
func (s *settings) telling() []setting {
	return []setting{
		{name: "evidence", value: span(&s.Evidence, 0, 365*day), help: "how long it is known who got what; 0 keeps nothing"},
		{name: "audit", value: span(&s.Audit, 0, 100*365*day), help: "how long it is known who did what; 0 keeps nothing"},
		{name: "hook-url", value: listValue{p: &s.HookURLs, kind: "urls", fits: isWebURL, want: "URLs that begin with http:// or https://", secret: true}, help: "who is told of events, by signed requests"},
		{name: "hook-secret-file", value: textOf(&s.HookSecretFile, "file"), help: "the secret that those requests are signed with"},
		{name: "hook-events", value: listValue{p: &s.HookEvents, kind: "events", some: true, fits: isHookEvent, want: "events, such as alarm.acked"}, help: "what is told"},
		{name: "hook-timeout", value: span(&s.HookTimeout, 100*time.Millisecond, time.Minute), help: "time for a receiver to accept an event"},
	}
}

// keeping are the settings of what is kept, and how safely.
func (s *settings) keeping() []setting {
	return []setting{
		{name: "data", value: textOf(&s.Data, "dir"), help: "directory of the embedded log"},
		{name: "sync", value: choice(&s.Sync, syncInterval, syncAlways), help: "when the disk is flushed: at intervals, or before each answer"},
		{name: "sync-interval", value: span(&s.SyncInterval, 10*time.Millisecond, 10*time.Minute), help: "the interval of sync: interval"},
		{name: "retention", value: span(&s.Retention, 0, 100*365*day), help: "how long what is over is kept; 0 for ever"},
		{name: "retention-bytes", value: sized(&s.RetentionBytes, 0, maxSize), help: "what the log may hold before its oldest part goes; 0 for no limit"},
		{name: "reserve", value: sized(&s.Reserve, 0, maxSize), help: "free space below which publishers are refused; 0 for none"},
		{name: "dedupe-window", value: span(&s.DedupeWindow, time.Second, day), help: "how long the ids of events are remembered"},
		{name: "window", value: sized(&s.Window, 1<<20, 64<<30), help: "memory for the newest entries"},
		{name: "lease", value: span(&s.LeaseTTL, time.Second, time.Minute), help: "after how long a dead worker is succeeded"},
	}
}

// reading are the settings of how readers are served.
func (s *settings) reading() []setting {
	return []setting{
		{name: "ping-interval", value: span(&s.Ping, time.Second, 10*time.Minute), help: "how long a stream may be silent before it carries a ping"},
		{name: "stream-lifetime", value: span(&s.StreamLifetime, time.Second, day), help: "how long one stream lasts, ± 20 %"},
		{name: "client-retry", value: span(&s.ClientRetry, 100*time.Millisecond, time.Minute), help: "after how long clients are told to come back, ± 50 %"},
		{name: "connections-per-user", value: count(&s.Connections, 1, 10000), help: "streams that one user may have open, at all nodes", reload: true},
		{name: "auth-timeout", value: span(&s.AuthTimeout, 100*time.Millisecond, time.Minute), help: "time for a WebSocket to say whose it is"},
		{name: "dead-after", value: span(&s.DeadAfter, time.Second, time.Hour), help: "how long a WebSocket's client may be silent, pongs included"},
		{name: "poll-interval-busy", value: span(&s.PollBusy, time.Second, time.Hour), help: "short poll: the interval told when something came", reload: true},
		{name: "poll-interval-idle", value: span(&s.PollIdle, time.Second, time.Hour), help: "short poll: the interval told when nothing came", reload: true},
	}
}

// compatible are the settings of the older protocols.
func (s *settings) compatible() []setting {
	path := func(p *string) value { return pathValue{p} }
	return []setting{
		{name: "compat", value: listValue{p: &s.Compat, kind: "protocols", fits: isCompat, want: strings.Join(compatNames, ", ")}, help: "older protocols that are served besides; empty for none"},
		{name: "compat-publish-from", value: listValue{p: &s.PublishFrom, kind: "networks", fits: isNetwork, want: "networks, such as 10.1.0.0/16 or 127.0.0.1/32"}, help: "networks that may publish by those protocols' doors without a token"},
		{name: "session-callback-url", value: urlValue{&s.CallbackURL, []string{"http", "https"}, false}, help: "who knows sessions that are no JWT; empty for nobody"},
		{name: "session-callback-timeout", value: span(&s.CallbackTimeout, 100*time.Millisecond, time.Minute), help: "how long that, or Redis, may take"},
		{name: "session-redis-url", value: urlValue{&s.RedisURL, []string{"redis", "rediss"}, false}, help: "Redis that keeps such sessions; empty for none"},
		{name: "session-redis-key", value: textOf(&s.RedisKey, "key"), help: "the key of a session there"},
		{name: "session-redis-field", value: textOf(&s.RedisField, "field"), help: "where in its value the user stands; empty for the value itself"},
		{name: "alarm-push-path", value: path(&s.AlarmPushPath), help: "where alarm-push is served"},
		{name: "oplink-path", value: path(&s.OplinkPath), help: "where oplink is served"},
		{name: "app-push-path", value: path(&s.AppPushPath), help: "below which app-push is served"},
		{name: "notices-path", value: path(&s.NoticesPath), help: "below which notices are served"},
		{name: "stomp-path", value: path(&s.StompPath), help: "where STOMP is served over WebSocket"},
		{name: "sockjs-path", value: path(&s.SockJSPath), help: "below which STOMP is served over SockJS"},
		{name: "sockjs-client-url", value: urlValue{&s.SockJSClient, []string{"http", "https"}, false}, help: "where SockJS's iframe gets the client's script"},
		{name: "sockjs-cookie", value: boolValue{&s.SockJSCookie}, help: "set the cookie JSESSIONID, by which a load balancer may find a session's node"},
		{name: "stomp-app", value: pairsValue{&s.StompApps}, help: "the topic of what STOMP clients send to each /app/<name>"},
		{name: "stomp-send", value: choice(&s.StompSend, sendUsers, sendPublish), help: "who may send by STOMP: every user, or tokens with the scope publish"},
		{name: "app-push-idle", value: span(&s.AppPushIdle, time.Second, day), help: "how long a client of app-push may send nothing"},
	}
}

// patience are the settings of how long clients may take.
func (s *settings) patience() []setting {
	return []setting{
		{name: "write-timeout", value: span(&s.WriteTimeout, 100*time.Millisecond, time.Minute), help: "time for a stream's client to take what is written"},
		{name: "header-timeout", value: span(&s.HeaderTimeout, 100*time.Millisecond, time.Minute), help: "time for a request's header to arrive"},
		{name: "body-timeout", value: span(&s.BodyTimeout, 100*time.Millisecond, 10*time.Minute), help: "time for a request's body to arrive"},
		{name: "answer-timeout", value: span(&s.AnswerTimeout, 100*time.Millisecond, 10*time.Minute), help: "time for a client to take an answer that is no stream"},
		{name: "idle-timeout", value: span(&s.IdleTimeout, time.Second, time.Hour), help: "how long a connection may wait for its next request"},
	}
}

// sizes are the settings of how much is taken and given at once.
func (s *settings) sizes() []setting {
	return []setting{
		{name: "frame-entries", value: count(&s.FrameEntries, 1, 10000), help: "most entries that a stream writes at once"},
		{name: "frame-bytes", value: sized(&s.FrameBytes, 1<<10, 16<<20), help: "most bytes that a stream writes at once"},
		{name: "page-bytes", value: sized(&s.PageBytes, 1<<10, 64<<20), help: "most bytes of entries in a page"},
		{name: "batch-bytes", value: sized(&s.BatchBytes, 1<<10, 1<<30), help: "most bytes in one publishing", reload: true},
		{name: "batch-events", value: count(&s.BatchEvents, 1, 9999), help: "most alarms in one publishing", reload: true},
	}
}

// running are the settings of how the node runs.
func (s *settings) running() []setting {
	return []setting{
		{name: "node", value: textOf(&s.Node, "name"), help: "what people call this node; empty for cluster-node, or the host's name"},
		{name: "drain", value: span(&s.Drain, 0, 10*time.Minute), help: "time over which clients are sent away at the end"},
		{name: "linger", value: span(&s.Linger, 0, 10*time.Minute), help: "least time to go on answering after /readyz has said that the node goes"},
		{name: "log-level", value: choice(&s.LogLevel, "debug", "info", "warn", "error"), help: "least level that is logged", reload: true},
		{name: "log-format", value: choice(&s.LogFormat, formatText, formatJSON), help: "text for people, json for collectors"},
	}
}
