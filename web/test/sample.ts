// Alarms to look at: a small fleet, a wind park and a room of servers, for pictures
// and tests. What they are is settled here; when they were raised is counted back from now.

export interface Sample {
  readonly device: string;
  readonly type: string;
  readonly qualifier?: string;
  readonly severity: string;
  readonly message: string;
  readonly attrs?: Readonly<Record<string, string>>;
  readonly kind?: "momentary";
  /** How long ago, in seconds. */
  readonly ago: number;
}

export const devices: Readonly<Record<string, readonly string[]>> = {
  "350000000000014": ["fleet-7"], "350000000000022": ["fleet-7"], "350000000000030": ["fleet-9"], "350000000000048": ["fleet-9"],
  "turbine-n04": ["wind-north"], "turbine-n11": ["wind-north"], "turbine-s02": ["wind-south"],
  "db-1": ["servers"], "web-3": ["servers"], "ups-2": ["servers", "facility"], "bs-111-ridge": ["network"], "bs-204-harbour": ["network"],
};

export const samples: readonly Sample[] = [
  { device: "350000000000030", type: "panic_button", severity: "critical", message: "The driver has pressed the panic button", attrs: { latitude_deg: "54.3899", longitude_deg: "10.1460", speed_kmh: "0" }, ago: 48 },
  { device: "turbine-n11", type: "pitch_fault", qualifier: "blade-2", severity: "critical", message: "Blade 2 does not follow its set angle, turbine stopped", attrs: { angle_deg: "4.7", set_deg: "88.0" }, ago: 310 },
  { device: "ups-2", type: "mains_failure", severity: "critical", message: "Mains failed, batteries last for 38 min", attrs: { backup_min: "38", load_percent: "71" }, ago: 1260 },
  { device: "350000000000014", type: "overspeed", severity: "major", message: "97 km/h in an 80 km/h zone", attrs: { speed_kmh: "97", limit_kmh: "80" }, ago: 95 },
  { device: "bs-204-harbour", type: "cell_down", qualifier: "sector-2", severity: "major", message: "Sector 2 is off the air", attrs: { band_mhz: "1800" }, ago: 530 },
  { device: "turbine-n04", type: "gearbox_temp", severity: "major", message: "Gearbox oil at 94 °C", attrs: { oil_temp_c: "94", limit_temp_c: "80", rotor_rpm: "13.2" }, ago: 890 },
  { device: "db-1", type: "disk_full", qualifier: "data", severity: "major", message: "/data is 96 % full", attrs: { used_percent: "96", free_gib: "11" }, ago: 2100 },
  { device: "web-3", type: "certificate", severity: "minor", message: "The certificate of shop.example ends in 6 days", attrs: { days_left: "6" }, ago: 5400 },
  { device: "turbine-s02", type: "vibration", qualifier: "main-bearing", severity: "minor", message: "Vibration of the main bearing above its limit", attrs: { velocity_mm_s: "7.9", limit_mm_s: "7.1" }, ago: 1500 },
  { device: "350000000000048", type: "battery_low", severity: "minor", message: "Battery at 11 %", attrs: { battery_percent: "11", battery_v: "3.4" }, ago: 700 },
  { device: "bs-111-ridge", type: "vswr_high", qualifier: "antenna-1", severity: "minor", message: "Too much power comes back from antenna 1", attrs: { vswr_ratio: "2.3" }, ago: 3600 },
  { device: "turbine-n04", type: "icing", severity: "warning", message: "Ice on the blades is likely", attrs: { air_temp_c: "-3", humidity_percent: "97" }, ago: 420 },
  { device: "bs-111-ridge", type: "cabinet_door_open", severity: "warning", message: "The cabinet was opened", attrs: { open_s: "95" }, kind: "momentary", ago: 980 },
  { device: "350000000000022", type: "geofence_exit", qualifier: "zone-depot", severity: "warning", message: "Left the depot, 240 m outside", attrs: { distance_m: "240", zone: "depot" }, kind: "momentary", ago: 205 },
  { device: "web-3", type: "vendor_code_771", severity: "indeterminate", message: "Code 771, which nobody has explained yet", ago: 2700 },
];

/** The samples as events to publish, the oldest first; time is counted back from now. */
export const events = (list: readonly Sample[], now = Date.now()): object[] =>
  [...list].sort((a, b) => b.ago - a.ago).map(({ ago, ...event }) => ({ ...event, time: new Date(now - ago * 1000).toISOString() }));

/** The directory of the samples, as lines of POST /v1/directory. */
export const directory = (): string => Object.entries(devices).map(([device, groups]) => JSON.stringify({ device, groups })).join("\n");
