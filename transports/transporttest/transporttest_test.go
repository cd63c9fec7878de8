package transporttest

import (
	"testing"
)

func TestDirect(t *testing.T) {
	t.Parallel()
	Run(t, nil, Transports)
}

func TestThroughNginx(t *testing.T) {
	t.Parallel()
	Run(t, Nginx, Transports)
}
