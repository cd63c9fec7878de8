package transporttest

import (
	"testing"
)

func TestDirect(t *testing.T) { Run(t, nil, Transports) }

func TestThroughNginx(t *testing.T) { Run(t, nginx, Transports) }
