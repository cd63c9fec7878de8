package samples

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"tocsin/server/inbox"
)

// A device is something that raises alarms.
type device struct {
	name   string
	groups []string
	faults []fault
}

// A fault is one way in which a device of a kind goes wrong.
type fault struct {
	typ, qualifier string
	// severities are what it goes through as it gets worse, mildest first.
	severities []severity
	// momentary: it happens and is over.
	momentary bool
	// chance weighs it against others.
	chance int
	// tell makes the message and the attributes; level counts up from 0 as it gets
	// worse.
	tell func(r *rand.Rand, level int) (message string, attrs map[string]string)
}

type severity = inbox.Severity

const (
	warning  = inbox.Warning
	minor    = inbox.Minor
	major    = inbox.Major
	critical = inbox.Critical
)

// Courses that several faults take.
var (
	unclear = []severity{inbox.Indeterminate}
	mild    = []severity{warning}
	middle  = []severity{minor}
	grave   = []severity{major}
	gravest = []severity{critical}
	rising  = []severity{warning, minor, major}
	steep   = []severity{minor, major, critical}
)

// The groups of the demonstration.
const (
	groupFleet7  = "fleet-7"
	groupFleet9  = "fleet-9"
	groupWind    = "wind-north"
	groupNetwork = "network"
	groupServers = "servers"
)

// plant lists all devices, the same each time.
func plant() []device {
	var all []device
	for i := range 8 {
		groups := []string{groupFleet7}
		if i >= 5 {
			groups = []string{groupFleet9}
		}
		all = append(all, device{imei(i), groups, trackerFaults})
	}
	for i := range 4 {
		all = append(all, device{fmt.Sprintf("turbine-n%02d", i+1), []string{groupWind}, turbineFaults})
	}
	for i, site := range []string{"harbour", "ridge", "old-mill", "station-square"} {
		all = append(all, device{fmt.Sprintf("bs-%03d-%s", 104+7*i, site), []string{groupNetwork}, stationFaults})
	}
	for _, name := range []string{"db-1", "db-2", "mail-1", "store-1"} {
		all = append(all, device{name, []string{groupServers}, serverFaults})
	}
	// The gateway in the harbour concerns two groups.
	return append(all, device{"gw-harbour", []string{groupNetwork, groupServers}, gatewayFaults})
}

// imei makes the n-th IMEI of a test device: the reporting body 00, which no
// maker of real devices has, in eight digits of type, six of serial number, and
// the check digit.
func imei(n int) string {
	digits := fmt.Sprintf("00101700%06d", 310040+137*n)
	return digits + strconv.Itoa(luhn(digits))
}

// luhn is the check digit that completes the number.
func luhn(digits string) int {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return (10 - sum%10) % 10
}

// Directory is who is responsible for what, in the lines that the directory
// imports (docs/protocol.md §9): the devices, and three users. demo sees
// everything, night-shift what cannot wait for the morning, fleet-7 its cars.
func Directory() string {
	var b strings.Builder
	line := func(kind, name string, groups ...string) {
		list, err := json.Marshal(groups)
		if err != nil {
			panic(err) // of strings: cannot fail
		}
		fmt.Fprintf(&b, "{%q:%q,\"groups\":%s}\n", kind, name, list)
	}
	for _, d := range plant() {
		line("device", d.name, d.groups...)
	}
	line("user", "demo", "*")
	line("user", "night-shift", groupNetwork, groupServers, groupWind)
	line("user", "fleet-7", groupFleet7)
	return b.String()
}
