package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tocsin/server/inbox"
)

// Options are what a Directory works on.
type Options struct {
	Log   inbox.Log
	View  *inbox.View
	Epoch string // of this start of the node
}

// A Directory changes the directory.
type Directory struct{ o Options }

// New returns a Directory.
func New(o Options) *Directory { return &Directory{o: o} }

// Route returns the name of the route to the groups, and sees to it that the log
// has an entry for it, so that the entry precedes the route's first alarm. No
// groups, no route: the name is empty.
func (d *Directory) Route(ctx context.Context, groups []string) (string, error) {
	name := inbox.Route(groups)
	if name == "" || d.o.View.HasRoute(name) {
		return name, nil
	}
	subject := inbox.RouteSubject(name)
	e := inbox.Entry{Subject: subject, Epoch: d.o.Epoch, Quiet: true, Groups: inbox.SortGroups(groups)}
	r := d.o.Log.Append(ctx, inbox.Proposal{Subject: subject, Data: e.Encode()})[0]
	switch {
	case errors.Is(r.Err, inbox.ErrConflict):
		return name, nil // another writer was first; a route never changes
	case r.Err != nil:
		return "", fmt.Errorf("make the route %s: %w", name, r.Err)
	}
	return name, d.o.View.Wait(ctx, r.Seq)
}

// Device returns the groups of a device; known is false when the directory does
// not have it.
func (d *Directory) Device(name string) (groups []string, known bool) {
	return d.o.View.Device(name)
}

// User returns the groups that the directory gives a user.
func (d *Directory) User(name string) []string { return d.o.View.UserGroups(name) }

// PutDevice gives the device these groups, each once and sorted. Its open alarms
// are moved to their route soon afterwards. The error is an inbox.FieldError, or
// one of the log.
func (d *Directory) PutDevice(ctx context.Context, name string, groups []string) error {
	if len(groups) == 0 {
		return inbox.Fieldf("groups", "1 to %d, not 0: delete the device to send its alarms to the unassigned groups", inbox.MaxGroups)
	}
	_, err := d.put(ctx, []line{{Device: name, Groups: groups}})
	return err
}

// DeleteDevice forgets the device: its alarms go to the unassigned groups.
func (d *Directory) DeleteDevice(ctx context.Context, name string) error {
	_, err := d.put(ctx, []line{{Device: name}})
	return err
}

// PutUser gives the user these groups and takes all others from him.
func (d *Directory) PutUser(ctx context.Context, name string, groups []string) error {
	_, err := d.put(ctx, []line{{User: name, Groups: groups}})
	return err
}

// DeleteUser takes all groups from the user.
func (d *Directory) DeleteUser(ctx context.Context, name string) error {
	return d.PutUser(ctx, name, nil)
}

// A line is one line of an import.
type line struct {
	Device string   `json:"device"`
	User   string   `json:"user"`
	Groups []string `json:"groups"`
}

func (l line) check() error {
	switch {
	case (l.Device == "") == (l.User == ""):
		return inbox.Fieldf("device", "want either a device or a user")
	case l.Device != "":
		if err := inbox.CheckText("device", l.Device, 1, inbox.MaxDeviceChars); err != nil {
			return err
		}
	default:
		if err := inbox.CheckText("user", l.User, 1, inbox.MaxUserChars); err != nil {
			return err
		}
	}
	return inbox.CheckGroups("groups", l.Groups)
}

// put appends what differs from the directory, and returns how many of the lines
// changed something. Lines of one call name different things.
func (d *Directory) put(ctx context.Context, lines []line) (changed int, err error) {
	for _, l := range lines {
		if err := l.check(); err != nil {
			return 0, err
		}
	}
	for _, l := range lines {
		if l.Device != "" {
			if _, err := d.Route(ctx, l.Groups); err != nil {
				return 0, err
			}
		}
	}
	var changes []inbox.Proposal
	for _, l := range lines {
		p := d.proposals(l)
		if len(p) > 0 {
			changed++
		}
		changes = append(changes, p...)
	}
	last, err := d.append(ctx, changes)
	if err != nil {
		return 0, fmt.Errorf("change the directory: %w", err)
	}
	return changed, d.o.View.Wait(ctx, last)
}

// proposals are the entries that make the directory say what the line says.
func (d *Directory) proposals(l line) []inbox.Proposal {
	if l.Device != "" {
		groups := inbox.SortGroups(l.Groups)
		if now, _ := d.o.View.Device(l.Device); slices.Equal(now, groups) {
			return nil
		}
		return []inbox.Proposal{d.proposal(inbox.Entry{Subject: inbox.DeviceSubject(l.Device), Groups: groups})}
	}
	var changes []inbox.Proposal
	now, want := d.o.View.UserGroups(l.User), inbox.SortGroups(l.Groups)
	for _, g := range now {
		if !slices.Contains(want, g) {
			changes = append(changes, d.proposal(inbox.Entry{Subject: inbox.MemberSubject(g, l.User)}))
		}
	}
	for _, g := range want {
		if !slices.Contains(now, g) {
			changes = append(changes, d.proposal(inbox.Entry{Subject: inbox.MemberSubject(g, l.User), Active: true}))
		}
	}
	return changes
}

func (d *Directory) proposal(e inbox.Entry) inbox.Proposal {
	e.Epoch, e.Quiet = d.o.Epoch, true
	return inbox.Proposal{Subject: e.Subject, Expect: d.o.View.DirectorySeq(e.Subject), Data: e.Encode()}
}

// append stores the proposals, and returns the last sequence. A proposal that
// lost a race is sent again on top of the winner: the last writer decides.
func (d *Directory) append(ctx context.Context, changes []inbox.Proposal) (last uint64, err error) {
	for len(changes) > 0 {
		var lost []inbox.Proposal
		for i, r := range d.o.Log.Append(ctx, changes...) {
			switch {
			case errors.Is(r.Err, inbox.ErrConflict):
				p := changes[i]
				m, err := d.o.Log.Newest(ctx, p.Subject)
				if err != nil && !errors.Is(err, inbox.ErrNotFound) {
					return 0, err
				}
				p.Expect = m.Seq
				lost = append(lost, p)
			case r.Err != nil:
				return 0, r.Err
			}
			last = max(last, r.Seq)
		}
		changes = lost
	}
	return last, nil
}
