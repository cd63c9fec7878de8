package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the check says where something is known, where nothing is, and where nobody
// could be asked: these are three things. The databases are elsewhere, so the
// programs that ask them are played here.
func TestTheVulnerabilityCheckSaysWhatItKnows(t *testing.T) {
	const found = "Vulnerability #1: GO-2026-0001"
	for _, c := range []struct {
		goSays, goExit, npmSays, npmExit string
		want                             int
		last                             string
	}{
		{"No vulnerabilities found.", "0", `{"auditReportVersion": 2}`, "0", 0, "nothing is known"},
		{found, "1", `{"auditReportVersion": 2}`, "0", 1, "known to be vulnerable"},
		{"No vulnerabilities found.", "0", `{"auditReportVersion": 2}`, "1", 1, "known to be vulnerable"},
		{"no such host", "1", `{"auditReportVersion": 2}`, "0", 2, "could not be asked"},
		{"No vulnerabilities found.", "0", `{"message": "405 Method Not Allowed"}`, "1", 2, "could not be asked"},
		{found, "1", "", "1", 1, "known to be vulnerable"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"go": "echo '" + c.goSays + "'; exit " + c.goExit, "npm": "echo '" + c.npmSays + "'; exit " + c.npmExit} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "../.ci/vuln")
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, _ := cmd.CombinedOutput() // the exit code says it
		if got := cmd.ProcessState.ExitCode(); got != c.want || !strings.Contains(string(out), c.last) {
			t.Errorf("%+v: exit code %d\n%s", c, got, out)
		}
	}
}
