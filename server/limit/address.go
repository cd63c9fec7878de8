package limit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// networkBits is how much of an address of IPv6 counts: the rest is its owner's to
// choose.
const networkBits = 64

// network is what addresses are told apart by.
func network(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(networkBits)
	if err != nil {
		return a
	}
	return p.Addr()
}

// within says whether an address is in one of the networks.
func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// parse reads an address with a port or without one; it is not valid where there is
// none.
func parse(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// maxForwarded is how many proxies are looked through.
const maxForwarded = 32

// Client is the address that a request comes from: that of its connection, or what
// a trusted proxy says of it. A proxy writes down who came to it, so it is the last
// one in X-Forwarded-For that is no trusted proxy: whatever stands before it, the
// client may have written. It is not valid where there is no network.
func (l *Limiter) Client(r *http.Request) netip.Addr {
	from := parse(r.RemoteAddr)
	proxies := l.o.Load().Proxies
	if len(proxies) == 0 || !within(proxies, from) {
		return from
	}
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(forwarded) - 1; i >= max(0, len(forwarded)-maxForwarded); i-- {
		next := parse(forwarded[i])
		if !next.IsValid() {
			return from
		}
		if from = next; !within(proxies, from) {
			return from
		}
	}
	return from
}
