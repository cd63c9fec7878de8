package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"tocsin/server/filestore"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// An entryCheck reads the entries of the log, and the values of the buckets, as the
// gateway will.
type entryCheck struct {
	unreadable []string // entries
	unfollowed []string // alarms whose revisions have holes
	unrouted   map[string]bool
	routes     map[string]bool
	epochs     []inbox.Epoch
	begun      uint64            // where the newest epoch's entry stands
	heads      map[string]uint64 // the revision of each alarm's newest entry
	kinds      map[string]int
	newest     newestOf
}

func newEntryCheck() *entryCheck {
	return &entryCheck{
		unrouted: map[string]bool{}, routes: map[string]bool{}, heads: map[string]uint64{}, kinds: map[string]int{},
		newest: newestOf{},
	}
}

// take reads one message.
func (c *entryCheck) take(m *filestore.Message) {
	if m.Account != filestore.Account || m.Stream != natslog.StreamName {
		c.newest.take(m)
		return
	}
	subject := string(m.Subject)
	e, err := inbox.Decode(inbox.Message{Seq: m.Seq, Subject: subject, Data: m.Data, Time: m.Time})
	if err != nil {
		c.unreadable = append(c.unreadable, err.Error())
		return
	}
	kind, _, _ := strings.Cut(subject, ".")
	c.kinds[kind]++
	if !c.readable(kind, &e) {
		c.unreadable = append(c.unreadable, fmt.Sprintf("message %d of %s", m.Seq, subject))
		return
	}
	switch kind {
	case "alarm":
		c.follow(&e)
	case "sys":
		if subject == inbox.SubjectEpoch {
			c.epochs, c.begun = e.Epochs, m.Seq
		}
	case "dir":
		if name, ok := strings.CutPrefix(subject, "dir.r."); ok {
			c.routes[name] = true
		}
	}
	if route, ok := e.Audience.Route(); ok && kind == "alarm" && !c.routes[inbox.Escape(route)] {
		c.unrouted[route] = true
	}
}

// readable says whether what readers see of an entry can be read, and its subject.
func (c *entryCheck) readable(kind string, e *inbox.Entry) bool {
	for _, token := range strings.Split(e.Subject, ".")[1:] {
		if _, ok := inbox.Unescape(token); !ok && kind != "sys" {
			return false
		}
	}
	if kind != "alarm" && kind != "notice" || len(e.Body) == 0 {
		return true
	}
	return json.Valid(e.Body)
}

// follow compares an alarm's revision with the one before: a change has the next one,
// and what changes nothing the same.
func (c *entryCheck) follow(e *inbox.Entry) {
	was, known := c.heads[e.Subject]
	if known && e.Rev != was && e.Rev != was+1 {
		c.unfollowed = append(c.unfollowed, fmt.Sprintf("%s at %d from %d to %d", e.Subject, e.Seq, was, e.Rev))
	}
	c.heads[e.Subject] = e.Rev
}

// report says what was found, once everything was read.
func (c *entryCheck) report(d *doctor, log *filestore.Stream) {
	d.sayIf(len(c.unreadable) > 0, "entries", stateFail, fmt.Sprintf("%d cannot be read: %s", len(c.unreadable), some(c.unreadable)), restoring,
		fmt.Sprintf("all can be read: %d of alarms, %d of notices, %d of the directory", c.kinds["alarm"], c.kinds["notice"], c.kinds["dir"]))
	c.reportEpochs(d, log)
	var losses []inbox.Span
	for _, e := range c.epochs {
		losses = append(losses, e.Lost...)
	}
	state := stateFail
	if len(losses) > 0 {
		d.say("losses", stateWarn, fmt.Sprintf("%d ranges are known to be lost, the first from %d to %d; that was accepted", len(losses), losses[0].First, losses[0].Last), "nothing more is to be done")
		state = stateWarn
	}
	d.sayIf(len(c.unfollowed) > 0, "revisions", state, fmt.Sprintf("%d have a hole: %s", len(c.unfollowed), some(c.unfollowed)), restoring,
		fmt.Sprintf("those of %d alarms follow each other", len(c.heads)))
	var unrouted []string
	for route := range c.unrouted {
		if !c.routes[inbox.Escape(route)] {
			unrouted = append(unrouted, route)
		}
	}
	d.sayIf(len(unrouted) > 0, "directory", stateFail, "alarms go to routes that it lacks: "+some(unrouted), restoring,
		fmt.Sprintf("%d routes, and each alarm's is among them", len(c.routes)))
	c.reportMarks(d, log)
	c.reportBuckets(d)
}

// reportEpochs looks whether epochs rise, and each entry is of one of them.
func (c *entryCheck) reportEpochs(d *doctor, log *filestore.Stream) {
	if len(c.epochs) == 0 {
		d.say("epochs", stateFail, "no node's start is in the log", restoring)
		return
	}
	wrong := ""
	for i, e := range c.epochs {
		if i > 0 && (e.Name <= c.epochs[i-1].Name || e.First != 0 && e.First <= c.epochs[i-1].First) {
			wrong = fmt.Sprintf("%s does not follow %s", e.Name, c.epochs[i-1].Name)
		}
		if e.First > log.Last {
			wrong = fmt.Sprintf("%s begins at %d, beyond the end of the log", e.Name, e.First)
		}
	}
	d.sayIf(wrong != "", "epochs", stateFail, wrong, restoring,
		fmt.Sprintf("%d in their order, the newest %s began at %d", len(c.epochs), c.epochs[len(c.epochs)-1].Name, c.begun))
}

// reportMarks looks at what users have read.
func (c *entryCheck) reportMarks(d *doctor, log *filestore.Stream) {
	var bad []string
	ahead := 0
	for key, value := range c.newest["marks"] {
		var m inbox.Mark
		if _, ok := inbox.Unescape(key); !ok || json.Unmarshal(value, &m) != nil {
			bad = append(bad, key)
		} else if m.Upto > log.Last {
			ahead++
		}
	}
	switch {
	case len(bad) > 0:
		d.say("marks", stateFail, "what these have read cannot be read: "+some(bad), "everything is unread for them until they read again")
	case ahead > 0:
		d.say("marks", stateWarn, fmt.Sprintf("%d users have read further than the log reaches", ahead), "nothing: their marks are cut when the gateway starts")
	default:
		d.say("marks", stateOK, fmt.Sprintf("of %d users", len(c.newest["marks"])), "")
	}
}

// reportBuckets looks at the values of those that hold JSON.
func (c *entryCheck) reportBuckets(d *doctor) {
	var bad []string
	count := 0
	for _, name := range []string{"tickets", "revocations"} {
		for key, value := range c.newest[name] {
			if count++; !json.Valid(value) {
				bad = append(bad, name+"/"+key)
			}
		}
	}
	d.sayIf(len(bad) > 0, "buckets", stateFail, "these cannot be read: "+some(bad), "revoke anew what was revoked",
		fmt.Sprintf("%d tickets and revocations", count))
}
