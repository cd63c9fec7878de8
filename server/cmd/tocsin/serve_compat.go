package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tocsin/server/auth"
	"tocsin/server/httpd"
	"tocsin/server/redissession"
	"tocsin/server/topics"
)

// Names of the older protocols (docs/compat), in the order of its pages.
const (
	compatAlarmPush = "alarm-push"
	compatOplink    = "oplink"
	compatAppPush   = "app-push"
	compatNotices   = "notices"
	compatStomp     = "stomp"
)

var compatNames = []string{compatAlarmPush, compatOplink, compatAppPush, compatNotices, compatStomp}

func isCompat(name string) bool { return slices.Contains(compatNames, name) }

func isNetwork(text string) bool {
	_, err := netip.ParsePrefix(text)
	return err == nil
}

// makeTopics makes what the view tells of topics; only STOMP has them.
func (n *node) makeTopics(context.Context) error {
	n.topics = topics.New(topics.Options{Log: n.log, Epoch: n.epoch})
	// Ends with running.
	n.background.Go(func() { n.topics.Run(n.running) })
	return nil
}

// redisFresh is how long an answer of Redis is good: asking again is cheap there, and
// who has logged out is not let in for long.
const redisFresh = time.Second

// keepers are who knows the sessions that are no JWT.
func (n *node) keepers() (all []auth.Resolver, err error) {
	remember := func(name string, of auth.Resolver, fresh time.Duration) {
		all = append(all, auth.Remember(of, auth.RememberOptions{
			Name: name, Timeout: n.conf.CallbackTimeout, Fresh: fresh, Logger: n.logger,
		}))
	}
	if n.conf.CallbackURL != "" {
		callback, err := auth.NewCallback(n.conf.CallbackURL)
		if err != nil {
			return nil, err
		}
		remember("the session callback", callback, 0)
	}
	if n.conf.RedisURL == "" {
		return all, nil
	}
	n.redis, err = redissession.Open(redissession.Options{
		URL: n.conf.RedisURL, Key: n.conf.RedisKey, Field: n.conf.RedisField, Timeout: n.conf.CallbackTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("session-redis-url: %w", err)
	}
	remember("Redis", n.redis, redisFresh)
	return all, nil
}

// compat is what the doors need to serve the older protocols.
func (n *node) compat(ctx context.Context) (*httpd.Compat, error) {
	if len(n.conf.Compat) == 0 {
		return nil, nil
	}
	places, err := n.store.Places(ctx)
	if err != nil {
		return nil, err
	}
	o := &httpd.Compat{Places: places}
	for _, text := range n.conf.PublishFrom {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err // the settings have been checked
		}
		o.PublishFrom = append(o.PublishFrom, network.Masked())
	}
	on := func(name string) bool { return slices.Contains(n.conf.Compat, name) }
	if on(compatAlarmPush) {
		o.AlarmPush = &httpd.AlarmPush{Path: n.conf.AlarmPushPath}
	}
	if on(compatOplink) {
		o.Oplink = &httpd.Oplink{Path: n.conf.OplinkPath}
	}
	if on(compatAppPush) {
		o.AppPush = &httpd.AppPush{Path: n.conf.AppPushPath, Idle: n.conf.AppPushIdle}
		// Ends with running.
		n.background.Go(func() { _ = places.RunHeld(n.running) })
	}
	if on(compatNotices) {
		o.Notices = &httpd.Notices{Path: n.conf.NoticesPath}
	}
	if on(compatStomp) {
		o.Stomp = &httpd.Stomp{Path: n.conf.StompPath, SockJSPath: n.conf.SockJSPath,
			SockJSClient: n.conf.SockJSClient, SockJSCookie: n.conf.SockJSCookie, Topics: n.topics,
			Apps: n.conf.StompApps, PublishersOnly: n.conf.StompSend == sendPublish}
	}
	return o, nil
}
