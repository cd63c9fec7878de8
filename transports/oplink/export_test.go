package oplink

// Opening is opening, for its test.
func Opening(user string) string { return string(opening(user)) }
