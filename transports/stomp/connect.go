package stomp

import (
	"fmt"
	"strings"

	"tocsin/transports"
)

// connect says who the client is, and agrees on the version and on heart-beats.
func (c *Conversation) connect(f *frame) error {
	if c.speaks() != 0 {
		return malformed("it is connected already")
	}
	v, err := agree(f)
	if err != nil {
		return err
	}
	from, to, err := c.o.agreeBeats(f)
	if err != nil {
		return err
	}
	id, err := c.whoIs(f)
	if err != nil {
		return err
	}
	c.version.Store(int32(v))
	c.parser.version = v
	c.greeted = nil
	c.Admit(id)
	c.Listen()
	b := fmt.Appendf(nil, "CONNECTED\nversion:%s\nserver:tocsin\nheart-beat:%d,%d\nuser-name:%s\n",
		v, c.o.beat().Milliseconds(), 2*c.o.beat().Milliseconds(), id.User)
	if register, is := c.host.(Register); is {
		b = fmt.Appendf(b, "session:%s\n", register.Session())
	}
	c.say(append(b, '\n', 0))
	c.beats.start(from, to)
	return nil
}

// agree chooses the best version that both speak.
func agree(f *frame) (version, error) {
	accepts, told := f.get("accept-version")
	if !told {
		return v10, nil // which knows no such header
	}
	for _, ours := range versions {
		for theirs := range strings.SplitSeq(accepts, ",") {
			if strings.TrimSpace(theirs) == ours.name {
				return ours.version, nil
			}
		}
	}
	return 0, &failure{code: CodeProtocol, message: "want one of the versions 1.0, 1.1 and 1.2", version: "1.0,1.1,1.2"}
}

// whoIs is who CONNECT says, or the handshake.
func (c *Conversation) whoIs(f *frame) (transports.Identity, error) {
	token := tokenOf(f, c.greeted != nil)
	switch {
	case token == "" && c.greeted == nil:
		return transports.Identity{}, ErrNoToken
	case token == "":
		return *c.greeted, nil
	}
	ctx, cancel := c.Bounded()
	defer cancel()
	return c.o.Authenticate(ctx, token)
}

// tokenOf is the token in CONNECT: of Authorization, of access_token, or the login
// or the passcode. Many clients send a login and a passcode that mean nothing, as
// their library wants them: where the handshake has said who it is, these count
// only if they look like a JWT.
func tokenOf(f *frame, greeted bool) string {
	if text := strings.TrimSpace(f.text("Authorization") + f.text("authorization")); text != "" {
		if scheme, token, found := strings.Cut(text, " "); found && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token)
		}
		return text
	}
	if token := strings.TrimSpace(f.text("access_token")); token != "" {
		return token
	}
	login, passcode := strings.TrimSpace(f.text("login")), strings.TrimSpace(f.text("passcode"))
	for _, text := range [...]string{passcode, login} {
		if strings.Count(text, ".") == 2 {
			return text
		}
	}
	switch {
	case greeted:
		return ""
	case passcode != "":
		return passcode
	}
	return login
}
