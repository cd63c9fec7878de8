package trace

// What a Line can be about. Others may come.
const (
	Tracing      = "tracing"      // the following has begun: Until says for how long
	Connected    = "connected"    // it is known whose a connection is
	Subscribed   = "subscribed"   // the delivery of his inbox, or of a topic, has begun
	Delivered    = "delivered"    // From, To and Snapshot say what
	Gap          = "gap"          // what he asked for could not be served: Reason
	Request      = "request"      // of HTTP, answered
	Refused      = "refused"      // he was not let in: Reason
	Command      = "command"      // Op, with Reason where it failed
	Published    = "published"    // Count events
	Unsubscribed = "unsubscribed" // the delivery has ended
	Ended        = "ended"        // a session is over: Reason
	Disconnected = "disconnected" // and its connection
	Missed       = "missed"       // Count lines could not be told
	Alive        = "alive"        // nothing has happened for a while
	End          = "end"          // the following is over: Reason
)

// A Line is one thing that happened, as it is told on the wire (docs/protocol.md §9).
type Line struct {
	At   string `json:"at"`
	Node string `json:"node"`
	What string `json:"what"`
	User string `json:"user,omitempty"`
	// Transport and Connection are those of presence, Destination a topic.
	Transport   string `json:"transport,omitempty"`
	Connection  string `json:"connection,omitempty"`
	Destination string `json:"destination,omitempty"`
	// From and To bound what was delivered: everything of his after From, up to To.
	From uint64 `json:"from,omitempty"`
	To   uint64 `json:"to,omitempty"`
	// Snapshot: what was open at To has been delivered too.
	Snapshot bool   `json:"snapshot,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Op       string `json:"op,omitempty"`
	Alarm    string `json:"alarm,omitempty"`
	Method   string `json:"method,omitempty"`
	URL      string `json:"url,omitempty"`
	Status   int    `json:"status,omitempty"`
	// ID is the request's, which the log has too.
	ID     string `json:"request,omitempty"`
	Remote string `json:"remote,omitempty"`
	// MS is how long it took, in milliseconds.
	MS    float64 `json:"ms,omitempty"`
	Count int     `json:"count,omitempty"`
	// Claimed: the token that was refused names him, for which nobody vouches.
	Claimed bool   `json:"claimed,omitempty"`
	Until   string `json:"until,omitempty"`
}
