package inbox_test

import (
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

func TestMemoryLog(t *testing.T) {
	inboxtest.Log(t, func(*testing.T) inbox.Log { return &inbox.MemoryLog{} })
}
