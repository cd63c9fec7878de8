package limit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func at(text string) netip.Addr { return netip.MustParseAddr(text) }

func networks(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// refusal fails unless the error is one of this limit.
func refusal(t *testing.T, err error, name string) *Refusal {
	t.Helper()
	r := new(Refusal)
	if !errors.As(err, &r) || r.Limit != name || r.Retry < time.Second {
		t.Fatalf("%v, %+v; want a refusal by %s", err, r, name)
	}
	return r
}

func TestFiveSecondsWorthComeAtOnceAndThenOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Requests: Rate{Address: 10}}, nil)
		ask := func() error { return l.Admit(Requests, at("10.0.0.1"), "ada", 1) }
		for i := range 50 {
			if err := ask(); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
		}
		r := refusal(t, ask(), "requests-per-address")
		if r.Most != 10 || !errors.Is(r, ErrRate) {
			t.Errorf("%+v", r)
		}
		if err := l.Admit(Requests, at("10.0.0.2"), "ada", 1); err != nil {
			t.Errorf("another address: %v", err)
		}
		for range 20 {
			<-time.After(100 * time.Millisecond)
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			refusal(t, ask(), "requests-per-address")
		}
	})
}

func TestABatchIsTakenWholeAndPaidForAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Publishes: Rate{User: 100}}, nil)
		publish := func() error { return l.Admit(Publishes, netip.Addr{}, "ada", 5000) }
		if err := publish(); err != nil {
			t.Fatal(err)
		}
		r := refusal(t, publish(), "publishes-per-user")
		if want := 46 * time.Second; r.Retry != want { // 50 s worth, 5 of them at once, and up to the next second
			t.Errorf("again after %s, want %s", r.Retry, want)
		}
		<-time.After(r.Retry)
		if err := publish(); err != nil {
			t.Errorf("when it was time: %v", err)
		}
	})
}

func TestWhatOneScopeRefusesTheOthersKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var met []string
		l := New(Options{Requests: Rate{All: 1000, Address: 1, User: 100}}, func(limit string) { met = append(met, limit) })
		for range 5 {
			if err := l.Admit(Requests, at("10.0.0.1"), "ada", 1); err != nil {
				t.Fatal(err)
			}
		}
		for range 1000 {
			refusal(t, l.Admit(Requests, at("10.0.0.1"), "ada", 1), "requests-per-address")
		}
		for range 495 { // ada has lost nothing by it
			if err := l.AdmitUser(Requests, "ada", 1); err != nil {
				t.Fatal(err)
			}
		}
		refusal(t, l.AdmitUser(Requests, "ada", 1), "requests-per-user")
		for i := range 4995 { // nor has anybody else
			if err := l.Admit(Requests, at(fmt.Sprintf("10.1.%d.%d", i/256, i%256)), "", 1); err != nil {
				t.Fatal(i, err)
			}
		}
		refusal(t, l.Admit(Requests, at("10.2.0.1"), "", 1), "requests")
		if len(met) != 1002 || met[0] != "requests-per-address" || met[1001] != "requests" {
			t.Errorf("%d limits were met", len(met))
		}
	})
}

func TestCriticalsAreJudgedWherePublishingIs(t *testing.T) {
	few := Rate{All: 1, Address: 1, User: 1}
	for name, o := range map[string]Options{
		"off":       {Criticals: few},
		"criticals": {Criticals: few, Publishes: Rate{Address: 1}},
	} {
		l := New(o, nil)
		var err error
		for range 10 {
			err = l.Admit(Criticals, at("10.0.0.1"), "ada", 1)
		}
		if off := name == "off"; off != (err == nil) {
			t.Errorf("%s: %v", name, err)
		} else if !off {
			refusal(t, err, "criticals-per-address")
		}
	}
}

func TestAddressesWithoutLimits(t *testing.T) {
	l := New(Options{Requests: Rate{Address: 1}, Unlimited: networks("127.0.0.0/8", "::1/128")}, nil)
	for _, from := range []netip.Addr{at("127.0.0.7"), at("::1"), {}} {
		for range 100 {
			if err := l.Admit(Requests, from, "", 1); err != nil {
				t.Fatalf("%s: %v", from, err)
			}
		}
	}
	// The addresses of one network of IPv6 are one.
	for i := range 6 { // a moment of the last one's second has passed
		if err := l.Admit(Requests, at(fmt.Sprintf("2001:db8::%d", i)), "", 1); err != nil {
			t.Fatal(err)
		}
	}
	refusal(t, l.Admit(Requests, at("2001:db8::ffff"), "", 1), "requests-per-address")
	if err := l.Admit(Requests, at("2001:db8:0:1::1"), "", 1); err != nil {
		t.Errorf("the next network: %v", err)
	}
}

func TestLimitsCanBeChangedWhileTheyAreKept(t *testing.T) {
	l := New(Options{Requests: Rate{User: 1}}, nil)
	for range 6 { // a moment of the last one's second has passed
		if err := l.AdmitUser(Requests, "ada", 1); err != nil {
			t.Fatal(err)
		}
	}
	refusal(t, l.AdmitUser(Requests, "ada", 1), "requests-per-user")
	l.Set(Options{})
	if err := l.AdmitUser(Requests, "ada", 1); err != nil {
		t.Error(err)
	}
}

// Many addresses, as an attacker has of IPv6, take as much memory as are kept, and
// each is limited while it comes again and again.
func TestMemoryOfManyAddressesIsBounded(t *testing.T) {
	l := New(Options{Requests: Rate{Address: 1, User: 1}}, nil)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var ip [16]byte
	ip[0] = 0x20
	for i := range 300_000 {
		ip[5], ip[6], ip[7] = byte(i>>16), byte(i>>8), byte(i)
		if err := l.Admit(Requests, netip.AddrFrom16(ip), "user "+strconv.Itoa(i), 1); err != nil {
			t.Fatal(i, err)
		}
	}
	if n := l.addresses.len(); n > mostKeys {
		t.Errorf("%d addresses are kept", n)
	}
	if n := l.users.len(); n > mostKeys {
		t.Errorf("%d users are kept", n)
	}
	const most = 32 << 20
	took := int64(heap()) - int64(before)
	t.Logf("%d addresses and %d users take %.1f MiB", l.addresses.len(), l.users.len(), float64(took)/(1<<20))
	if took > most {
		t.Errorf("many addresses and users took %d bytes", took)
	}
	for range 5 { // a moment of the last one's second has passed
		if err := l.Admit(Requests, netip.AddrFrom16(ip), "", 1); err != nil {
			t.Fatal(err)
		}
	}
	refusal(t, l.Admit(Requests, netip.AddrFrom16(ip), "", 1), "requests-per-address")
}

func TestWhoseAddressItIs(t *testing.T) {
	l := New(Options{Proxies: networks("10.0.0.0/8", "fd00::/8")}, nil)
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:99", nil, "192.0.2.1"},
		{"192.0.2.1:99", []string{"198.51.100.7"}, "192.0.2.1"}, // nobody that we trust says so
		{"10.0.0.1:99", nil, "10.0.0.1"},
		{"10.0.0.1:99", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:99", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"}, // the first, the client wrote
		{"10.0.0.1:99", []string{"203.0.113.9", "198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		{"10.0.0.1:99", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:99", []string{"nonsense"}, "10.0.0.1"},
		{"10.0.0.1:99", []string{"198.51.100.7, nonsense, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:99", []string{"198.51.100.7:4711"}, "198.51.100.7"},
		{"[fd00::1]:99", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"[::ffff:10.0.0.1]:99", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"pipe", nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := l.Client(r); got.String() != c.want {
			t.Errorf("%s, forwarded for %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestNamesAreThoseOfRefusals(t *testing.T) {
	for _, name := range []string{"connections", "waiting-connections", "handshakes", "requests-per-address", "publish-bytes-per-user"} {
		if !slices.Contains(Names(), name) {
			t.Errorf("%s is missing from %v", name, Names())
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	many := Rate{All: 1 << 30, Address: 1 << 30, User: 1 << 30}
	l := New(Options{Requests: many}, nil)
	from := at("10.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Admit(Requests, from, "ada", 1); err != nil {
			b.Fatal(err)
		}
	}
}
