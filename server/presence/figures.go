package presence

// Pollers is how many pollers are taken to be there: who asked within Options.Away,
// once for each transport and set of groups.
func (r *Registry) Pollers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pollers)
}
