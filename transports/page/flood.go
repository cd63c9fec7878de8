package page

import (
	"time"

	"tocsin/server/inbox"
)

// A floodBar says that more comes than anybody can look at (docs/protocol.md §3).
type floodBar struct {
	Since stamp
	Quiet int // alarms
}

func floodOf(c inbox.Counts, now time.Time) *floodBar {
	if c.Flood.Since == 0 {
		return nil
	}
	return &floodBar{Since: stampOf(time.UnixMilli(c.Flood.Since), now), Quiet: c.Flood.Quiet}
}

// fold puts the rows of lesser alarms into one line a group and type, which stands
// where the first of them stood. One that is alone stays as it is.
func fold(rows []shownRow) []shownRow {
	type kind struct{ groups, name string }
	of := func(r *shownRow) (k kind, lesser bool) {
		lesser = r.Word == inbox.Minor.String() || r.Word == inbox.Warning.String()
		return kind{r.Groups, r.Name}, lesser
	}
	together := map[kind][]shownRow{}
	for i := range rows {
		if k, lesser := of(&rows[i]); lesser {
			together[k] = append(together[k], rows[i])
		}
	}
	var lines []shownRow
	for i := range rows {
		k, lesser := of(&rows[i])
		switch alike := together[k]; {
		case !lesser || len(alike) == 1:
			lines = append(lines, rows[i])
		case alike != nil:
			lines = append(lines, lineOf(alike))
			together[k] = nil
		}
	}
	return lines
}

// lineOf stands for rows of one group and type, with the worst severity of them.
func lineOf(rows []shownRow) shownRow {
	line := shownRow{severity: rows[0].severity, Name: rows[0].Name, Groups: rows[0].Groups, Frame: rows[0].Frame, Folded: rows}
	for i := range rows {
		if rows[i].Word == inbox.Minor.String() {
			line.severity = rows[i].severity
		}
		if rows[i].Mark != markNone && line.Mark != markNew {
			line.Mark = rows[i].Mark
		}
	}
	return line
}
