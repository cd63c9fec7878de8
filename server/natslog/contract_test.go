package natslog_test

import (
	"testing"

	"tocsin/server/inbox/inboxtest"
)

func TestLogPassesTheScenarios(t *testing.T) {
	for name, open := range logs {
		t.Run(name, func(t *testing.T) {
			inboxtest.Log(t, open)
		})
	}
}
