package samples

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// between is a number from least up to most.
func between(r *rand.Rand, least, most int) int { return least + r.IntN(most-least+1) }

// pairs makes attributes of names and values in turn.
func pairs(list ...any) map[string]string {
	attrs := make(map[string]string, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		attrs[list[i].(string)] = fmt.Sprint(list[i+1])
	}
	return attrs
}

func oneDecimal(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

var trackerFaults = []fault{
	{typ: "overspeed", severities: []severity{minor, major}, chance: 6, tell: func(r *rand.Rand, level int) (string, map[string]string) {
		limit := []int{50, 80, 100}[r.IntN(3)]
		speed := limit + between(r, 8, 18) + 15*level
		return fmt.Sprintf("%d km/h in a %d km/h zone", speed, limit), pairs("speed_kmh", speed, "limit_kmh", limit)
	}},
	{typ: "geofence_exit", qualifier: "zone-depot", severities: middle, momentary: true, chance: 3, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		d := between(r, 60, 900)
		return fmt.Sprintf("Left the depot, %d m outside", d), pairs("distance_m", d, "zone", "depot")
	}},
	{typ: "battery_low", severities: rising, chance: 4, tell: func(r *rand.Rand, level int) (string, map[string]string) {
		percent := max(2, 19-6*level-r.IntN(4))
		return fmt.Sprintf("Battery at %d %%", percent), pairs("battery_percent", percent, "battery_v", oneDecimal(3.2+float64(percent)/40))
	}},
	{typ: "power_loss", severities: grave, chance: 2, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "External power is gone, running on battery", pairs("supply_v", oneDecimal(r.Float64()/2))
	}},
	{typ: "panic_button", severities: gravest, chance: 1, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "The driver has pressed the panic button", pairs("latitude_deg", fmt.Sprintf("%.4f", 54.3+r.Float64()/10), "longitude_deg", fmt.Sprintf("%.4f", 10.1+r.Float64()/10))
	}},
}

var turbineFaults = []fault{
	{typ: "gearbox_temp", severities: steep, chance: 5, tell: func(r *rand.Rand, level int) (string, map[string]string) {
		t := 82 + 7*level + r.IntN(5)
		return fmt.Sprintf("Gearbox oil at %d °C", t), pairs("oil_temp_c", t, "limit_temp_c", 80, "rotor_rpm", oneDecimal(11+4*r.Float64()))
	}},
	{typ: "vibration", qualifier: "main-bearing", severities: grave, chance: 2, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		v := 7 + 3*r.Float64()
		return "Vibration of the main bearing above its limit", pairs("velocity_mm_s", oneDecimal(v), "limit_mm_s", "7.1")
	}},
	{typ: "pitch_fault", qualifier: "blade-2", severities: gravest, chance: 1, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "Blade 2 does not follow its set angle, turbine stopped", pairs("angle_deg", oneDecimal(2+5*r.Float64()), "set_deg", "88.0")
	}},
	{typ: "icing", severities: mild, chance: 2, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "Ice on the blades is likely", pairs("air_temp_c", -between(r, 1, 6), "humidity_percent", between(r, 91, 99))
	}},
}

var stationFaults = []fault{
	{typ: "mains_failure", severities: []severity{major, critical}, chance: 3, tell: func(r *rand.Rand, level int) (string, map[string]string) {
		left := max(5, 240-110*level-r.IntN(40))
		return fmt.Sprintf("Mains failed, batteries last for %d min", left), pairs("backup_min", left, "battery_v", oneDecimal(50-2*float64(level)))
	}},
	{typ: "cell_down", qualifier: "sector-2", severities: gravest, chance: 1, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "Sector 2 is off the air", pairs("band_mhz", []int{700, 1800, 3600}[r.IntN(3)])
	}},
	{typ: "vswr_high", qualifier: "antenna-1", severities: middle, chance: 3, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "Too much power comes back from antenna 1", pairs("vswr_ratio", oneDecimal(1.6+r.Float64()))
	}},
	{typ: "cabinet_door_open", severities: mild, momentary: true, chance: 2, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "The cabinet was opened", pairs("open_s", between(r, 20, 200))
	}},
}

var serverFaults = []fault{
	{typ: "disk_full", qualifier: "data", severities: []severity{warning, major, critical}, chance: 4, tell: func(r *rand.Rand, level int) (string, map[string]string) {
		used := min(99, 88+4*level+r.IntN(4))
		return fmt.Sprintf("/data is %d %% full", used), pairs("used_percent", used, "free_gib", 4*(100-used))
	}},
	{typ: "backup_failed", severities: grave, chance: 2, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "The nightly backup did not finish", pairs("age_h", between(r, 25, 49))
	}},
	{typ: "cpu_load", severities: middle, chance: 3, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "Load has been above the number of cores for 5 min", pairs("load_5min", oneDecimal(16+8*r.Float64()), "cores", 16)
	}},
	{typ: "certificate_expiry", severities: mild, chance: 1, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "The certificate has to be renewed soon", pairs("left_days", between(r, 3, 14))
	}},
}

var gatewayFaults = []fault{
	{typ: "link_down", qualifier: "uplink-a", severities: gravest, chance: 2, tell: func(*rand.Rand, int) (string, map[string]string) {
		return "Uplink A is down, traffic goes over B", nil
	}},
	{typ: "fan_speed", qualifier: "fan-3", severities: unclear, chance: 2, tell: func(r *rand.Rand, _ int) (string, map[string]string) {
		return "Fan 3 reports speeds that cannot be", pairs("speed_rpm", between(r, 40000, 65535))
	}},
}
