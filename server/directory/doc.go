// Package directory writes who gets what: device → groups → route, and user →
// groups.
//
// The directory is in the log (docs/architecture.md), so that every node sees
// memberships and alarms in one order; it is read from the view. All methods of
// a Directory may be called by many goroutines at once. A change has been
// applied by this node's view when its call returns.
package directory
