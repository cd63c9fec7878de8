package httpd

import (
	"tocsin/server/inbox"
	"tocsin/server/presence"
	"tocsin/transports/native"
)

// An attendance is the presence of one WebSocket's client: from when he is known,
// however often his token is renewed.
type attendance struct {
	registry   *presence.Registry
	connection *presence.Connection // nil until he is known
}

func (a *attendance) end() {
	if a.connection != nil {
		a.connection.Close()
	}
}

// attended are the options of a conversation whose presence is noted; those of
// publishers are left as they are, who have no inbox. Its calls come one after the
// other until the delivery has begun.
func attended(shared *native.Options, a *attendance) *native.Options {
	if shared.PublishOnly {
		return shared
	}
	o := *shared
	o.Join = func(id native.Identity, end func(error)) (leave func()) {
		if a.connection == nil {
			a.connection = a.registry.Connect(id.User, byWebSocket)
		}
		return shared.Join(id, end)
	}
	o.Deliver = func(native.Identity) (reached func(inbox.Reach), done func()) {
		session := a.connection.Subscribe()
		return session.Reached, session.End
	}
	return &o
}
