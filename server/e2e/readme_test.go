package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// A block is a part of the README that is run as it stands.
type block struct {
	lines   string
	expects []string
}

var runnable = regexp.MustCompile("(?s)<!-- run -->\n+```sh\n(.*?)```\n((?:<!-- expect: .*? -->\n)*)")

func readmeBlocks(t *testing.T) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range runnable.FindAllStringSubmatch(string(text), -1) {
		b := block{lines: m[1]}
		for _, line := range strings.Split(strings.TrimSpace(m[2]), "\n") {
			if want, ok := strings.CutPrefix(line, "<!-- expect: "); ok {
				b.expects = append(b.expects, strings.TrimSuffix(want, " -->"))
			}
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// The README's lines, as written, one after the other in one shell.
func TestReadmeRunsAsWritten(t *testing.T) {
	blocks := readmeBlocks(t)
	if len(blocks) < 5 {
		t.Fatalf("the README has %d blocks to run", len(blocks))
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for i, b := range blocks {
		fmt.Fprintf(&script, "echo; echo '<<block %d>>'\n%s\n", i, b.lines)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	public, ops := transporttest.FreeAddress(t), transporttest.FreeAddress(t)
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "TOCSIN_HTTP="+public, "TOCSIN_OPS="+ops, "TOCSIN_URL=http://"+public, "TOCSIN_ADMIN_URL=http://"+ops)
	// A process group of its own, so that what the lines leave running ends too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out := &tailBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), "WaitDelay") {
		t.Fatalf("%v:\n%s", err, out)
	}
	parts := strings.Split(out.String(), "<<block ")
	for i, b := range blocks {
		for _, want := range b.expects {
			if i+1 >= len(parts) || !strings.Contains(parts[i+1], want) {
				t.Errorf("block %d does not print %q:\n%s\n%s", i, want, b.lines, out)
			}
		}
	}
}
