package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestAlarmsAreListedAndAcknowledged(t *testing.T) {
	data, secret := workplace(t)
	server := start(t, "--data", data, "--jwt-hs256-file", secret)
	t.Setenv(envURL, server.http)
	var events strings.Builder
	for i := range 1203 {
		severity := "minor"
		if i == 7 {
			severity = "critical"
		}
		fmt.Fprintf(&events, `{"device":"d%d","type":"t","severity":"%s","message":"pump \u001b[31m%d"}`+"\n", i, severity, i)
	}
	call(t, events.String(), "publish", "-").ok(t)

	// More than a page holds.
	got := call(t, "", "alarms")
	got.ok(t)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if len(lines) != 1204 || !strings.HasPrefix(lines[0], "SEVERITY") || !strings.HasPrefix(lines[1], "critical  active") {
		t.Errorf("%d lines, the first of them\n%s\n%s", len(lines), lines[0], lines[1])
	}
	if strings.Contains(got.out, "\x1b") || !strings.Contains(lines[1], "pump ?[31m7") {
		t.Errorf("a message steers the terminal: %q", lines[1])
	}
	for args, want := range map[string]int{
		"--limit 5": 5, "--limit 1100": 1100, "--severity-min major": 1, "--device d9": 1, "--q pump": 1203, "--type none": 0, "--state all": 1203,
	} {
		got := call(t, "", append([]string{"alarms", "--json"}, strings.Fields(args)...)...)
		got.ok(t)
		if n := strings.Count(got.out, "\n"); n != want {
			t.Errorf("%s: %d alarms, want %d", args, n, want)
		}
	}

	// More than are acknowledged at once.
	got = call(t, "", "alarms", "--json", "--limit", "201")
	ids := []string{"ack", "--note", "mine"}
	for line := range strings.Lines(got.out) {
		_, id, _ := strings.Cut(line, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		ids = append(ids, id)
	}
	got = call(t, "", ids...)
	got.ok(t)
	if n := strings.Count(got.out, `"ack_note":"mine"`); n != 201 {
		t.Errorf("%d acknowledged, want 201: %.300s", n, got.out)
	}
	got = call(t, "", "ack", ids[3], "none")
	if got.code != exitFailed || !strings.Contains(got.err, "1 of 2 alarms were not acknowledged") || strings.Count(got.out, "\n") != 2 {
		t.Errorf("exit code %d: %s%s", got.code, got.out, got.err)
	}
	if got = call(t, "", "alarms", "--json", "--state", "unacked"); strings.Count(got.out, "\n") != 1002 {
		t.Errorf("%d are left, want 1002", strings.Count(got.out, "\n"))
	}
}

func TestAlarmsAreAskedForWrongly(t *testing.T) {
	newGateway(t)
	for want, args := range map[string][]string{
		"--limit: want 0 or more": {"alarms", "--limit", "-1"},
		"no arguments":            {"alarms", "x"},
		"ids of alarms":           {"ack"},
	} {
		if got := call(t, "", args...); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%v: exit code %d: %s", args, got.code, got.err)
		}
	}
}
