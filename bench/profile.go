package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profile takes a profile of the server for the span, when -profile asks for it,
// and returns at once; done waits for it. A profile costs a few percent: such a run
// explains figures and gives none.
func (b *bench) profile(ctx context.Context, g *stage, name string, span time.Duration) (done func() error) {
	s, ok := g.service.(*server)
	if b.profiles == "" || !ok {
		return func() error { return nil }
	}
	ended := make(chan error, 1)
	seconds := max(1, int(span.Seconds()))
	// Ends with the answer, which has a time limit.
	go func() { ended <- b.keep(ctx, s, fmt.Sprintf("profile?seconds=%d", seconds), name+".cpu") }()
	return func() error { return <-ended }
}

// heapProfile is one of what lives on the heap, when -profile asks for it.
func (b *bench) heapProfile(ctx context.Context, g *stage, name string) error {
	s, ok := g.service.(*server)
	if b.profiles == "" || !ok {
		return nil
	}
	return b.keep(ctx, s, "heap?gc=1", name+".heap")
}

func (b *bench) keep(ctx context.Context, s *server, what, name string) error {
	text, err := ask(ctx, http.MethodGet, "http://"+s.ops+"/debug/pprof/"+what, "", nil)
	if err != nil {
		return fmt.Errorf("take a profile: %w", err)
	}
	return os.WriteFile(filepath.Join(b.profiles, name), text, 0o644)
}
