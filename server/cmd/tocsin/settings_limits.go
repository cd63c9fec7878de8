package main

import (
	"fmt"
	"math"
	"net/netip"

	"tocsin/server/limit"
)

// limitSettings are those of how much clients may do.
type limitSettings struct {
	TrustedProxies, UnlimitedFrom []string
	MaxConnections                int
	AddressConnections            int
	WaitingConnections            int
	BodyMemory                    int64

	Handshakes, Requests, Publishes, Criticals limit.Rate
	PublishBytes                               sizes
}

// sizes are a limit.Rate of bytes.
type sizes struct{ All, Address, User int64 }

// defaultLimits are far above what real clients do, those behind one address among
// them, and off where one client may be a whole fleet.
func defaultLimits() limitSettings {
	return limitSettings{
		TrustedProxies: []string{}, UnlimitedFrom: []string{"127.0.0.0/8", "::1/128"},
		AddressConnections: 5000, WaitingConnections: 5000, BodyMemory: 128 << 20,
		Handshakes: limit.Rate{All: 5000, Address: 1000, User: 100},
		Requests:   limit.Rate{All: 50_000, Address: 5000, User: 1000},
		Criticals:  limit.Rate{All: 10_000, Address: 1000, User: 1000},
	}
}

// limiting are the settings of how much clients may do.
func (s *settings) limiting() []setting {
	networks := func(p *[]string) value {
		return listValue{p: p, kind: "networks", fits: isNetwork, want: "networks, such as 10.1.0.0/16 or 127.0.0.1/32"}
	}
	l := &s.limitSettings
	all := []setting{
		{name: "trusted-proxies", value: networks(&l.TrustedProxies), help: "networks of proxies whose X-Forwarded-For is believed"},
		{name: "unlimited-from", value: networks(&l.UnlimitedFrom), help: "networks whose addresses have no limits by address"},
		{name: "connections", value: count(&l.MaxConnections, 0, math.MaxInt32), help: "connections in all; 0 is nine tenths of the files that may be open"},
		{name: "connections-per-address", value: count(&l.AddressConnections, 0, math.MaxInt32), help: "connections of one address; 0 for no limit"},
		{name: "waiting-connections", value: count(&l.WaitingConnections, 0, math.MaxInt32), help: "connections that have not said a whole request yet; 0 for no limit"},
		{name: "body-memory", value: sized(&l.BodyMemory, 0, maxSize), help: "memory for large bodies that are being read or published; 0 for no limit"},
	}
	for _, r := range []struct {
		name, what string
		rate       *limit.Rate
	}{
		{"handshakes", "streams opened a second", &l.Handshakes},
		{"requests", "requests a second, polls among them, without those that publish", &l.Requests},
		{"publishes", "alarms and notices published a second", &l.Publishes},
		{"criticals", "critical alarms a second that are taken beyond publishes", &l.Criticals},
	} {
		all = append(all,
			setting{name: r.name, value: count(&r.rate.All, 0, math.MaxInt32), help: r.what + ", in all; 0 for no limit"},
			setting{name: r.name + "-per-address", value: count(&r.rate.Address, 0, math.MaxInt32), help: r.what + ", from one address"},
			setting{name: r.name + "-per-user", value: count(&r.rate.User, 0, math.MaxInt32), help: r.what + ", by one user"})
	}
	all = append(all,
		setting{name: "publish-bytes", value: sized(&l.PublishBytes.All, 0, math.MaxInt32), help: "bytes published a second, in all; 0 for no limit"},
		setting{name: "publish-bytes-per-address", value: sized(&l.PublishBytes.Address, 0, math.MaxInt32), help: "bytes published a second, from one address"},
		setting{name: "publish-bytes-per-user", value: sized(&l.PublishBytes.User, 0, math.MaxInt32), help: "bytes published a second, by one user"})
	for i := range all {
		all[i].reload = true
	}
	return all
}

// options are what the settings mean.
func (s *limitSettings) options() (limit.Options, error) {
	o := limit.Options{
		Connections: s.MaxConnections, AddressConnections: s.AddressConnections, Waiting: s.WaitingConnections,
		BodyMemory: s.BodyMemory,
		Handshakes: s.Handshakes, Requests: s.Requests, Publishes: s.Publishes, Criticals: s.Criticals,
		Bytes: limit.Rate{All: int(s.PublishBytes.All), Address: int(s.PublishBytes.Address), User: int(s.PublishBytes.User)},
	}
	if o.Connections == 0 {
		o.Connections = openFiles() / 10 * 9
	}
	for _, list := range []struct {
		name  string
		texts []string
		to    *[]netip.Prefix
	}{
		{"trusted-proxies", s.TrustedProxies, &o.Proxies},
		{"unlimited-from", s.UnlimitedFrom, &o.Unlimited},
	} {
		for _, text := range list.texts {
			network, err := netip.ParsePrefix(text)
			if err != nil {
				return o, fmt.Errorf("%s: %w", list.name, err)
			}
			*list.to = append(*list.to, network.Masked())
		}
	}
	return o, nil
}

// limits makes what bounds clients.
func (n *node) limits() error {
	o, err := n.conf.limitSettings.options()
	if err != nil {
		return err
	}
	n.metrics.Limits(limit.Names()...)
	n.limiter = limit.New(o, n.metrics.Limited)
	return nil
}
