// Package ingest reads what other systems send: CloudEvents, the webhook of
// Prometheus Alertmanager, events for PagerDuty, lines without end. It turns their
// bodies into events of the alarm model and keeps what it refused.
//
// Rules of use: a reader of bodies answers each item of a body, in order, with an
// event or with what is wrong with it; an error of its own is for a body of which
// nothing can be used. It completes what the format leaves out, and keeps to the
// limits of [tocsin/server/alarm], so that what it returns without an error is in
// bounds. It stores nothing and waits for nobody: the caller publishes the events.
// Who sends only a part of a device's history (a webhook that repeats what it
// knows) reports a level, see [alarm.Event]; readers of such formats say so.
package ingest
