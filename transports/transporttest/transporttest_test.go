package transporttest

import (
	"testing"
)

func TestDirect(t *testing.T) { Run(t, nil, Transports) }
