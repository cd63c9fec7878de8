package httpd

import (
	"tocsin/server/inbox"
	"tocsin/server/metrics"
)

// show adds to the metrics what is read when they are asked for.
func (s *Server) show() {
	s.o.Metrics.Problems(invalid.name, internal.name)
	for _, k := range kinds {
		if k.kind != gone {
			s.o.Metrics.Problems(k.name)
		}
	}
	s.o.Metrics.Letters(doorAlertmanager)
	s.o.Metrics.Numbers([]metrics.Number{
		{Name: "tocsin_ready", Help: "1 while the node wants clients, as /readyz says."},
		{Name: "tocsin_readers_behind", Help: "Streams and held polls that have not got all there is, by what they wait for: their turn, or their client, who does not take it, and the log.", Label: "waiting_for"},
		{Name: "tocsin_pollers", Help: "Pollers who were here within three intervals, asking at the moment or not."},
	}, func(set func(name, label string, value float64)) {
		ready := 1.0
		if s.ready() != nil {
			ready = 0
		}
		set("tocsin_ready", "", ready)
		inLine, waiting := s.pump.Behind()
		set("tocsin_readers_behind", "turn", float64(inLine))
		set("tocsin_readers_behind", "client", float64(waiting))
		set("tocsin_pollers", "", float64(s.o.Presence.Pollers()))
	})
	s.showView()
}

// showView adds what the view holds.
func (s *Server) showView() {
	s.o.Metrics.Numbers([]metrics.Number{
		{Name: "tocsin_view_head", Help: "Sequence up to which readers are served."},
		{Name: "tocsin_view_subjects", Help: "Alarms and notices in memory."},
		{Name: "tocsin_view_open_alarms", Help: "Alarms of everybody that are active or unacknowledged; the same at every node.", Label: "severity"},
		{Name: "tocsin_view_window_entries", Help: "Entries in the window."},
		{Name: "tocsin_view_window_bytes", Help: "Memory that the entries in the window take."},
		{Name: "tocsin_view_reloads_total", Help: "How often the log was loaded again, since it did not go on where it was.", Counter: true},
		{Name: "tocsin_directory_devices", Help: "Devices that the directory knows."},
		{Name: "tocsin_directory_users", Help: "Users that the directory knows."},
		{Name: "tocsin_directory_routes", Help: "Sets of groups that alarms go to."},
		{Name: "tocsin_gaps_total", Help: "Gaps that readers were told, by reason.", Label: "reason", Counter: true},
	}, func(set func(name, label string, value float64)) {
		f := s.o.View.Figures()
		set("tocsin_view_head", "", float64(f.Head))
		set("tocsin_view_subjects", "", float64(f.Subjects))
		for _, severity := range inbox.Severities {
			set("tocsin_view_open_alarms", severity.String(), float64(f.Open[severity]))
		}
		set("tocsin_view_window_entries", "", float64(f.Window))
		set("tocsin_view_window_bytes", "", float64(f.WindowBytes))
		set("tocsin_view_reloads_total", "", float64(f.Reloads))
		set("tocsin_directory_devices", "", float64(f.Devices))
		set("tocsin_directory_users", "", float64(f.Members))
		set("tocsin_directory_routes", "", float64(f.Routes))
		for i, reason := range inbox.GapReasons {
			set("tocsin_gaps_total", string(reason), float64(f.Gaps[i]))
		}
	})
}
