package inbox

import (
	"fmt"
	"strings"
)

// Every subject of the log is made here. A subject is the thing that changes:
//
//	alarm.<device>.<type>.<qualifier>
//	notice.u.<user>.<id>  notice.r.<route>.<id>  notice.all.<id>
//	dir.d.<device>  dir.m.<group>.<user>  dir.r.<route>
//	sys.epoch  sys.purged
//	topic.<name>
//
// Each <token> is escaped, reversibly, by Escape.
const (
	SubjectEpoch  = "sys.epoch"
	SubjectPurged = "sys.purged"

	prefixAlarm  = "alarm."
	prefixNotice = "notice."
	prefixDevice = "dir.d."
	prefixMember = "dir.m."
	prefixRoute  = "dir.r."
	prefixTopic  = "topic."
)

// Subjects lists the patterns that a log must hold.
func Subjects() []string {
	return []string{"alarm.>", "notice.>", "dir.>", "sys.>", "topic.>"}
}

// AlarmSubject is the subject of the alarm with this identity.
func AlarmSubject(device, typ, qualifier string) string {
	return prefixAlarm + Escape(device) + "." + Escape(typ) + "." + Escape(qualifier)
}

// ParseAlarmSubject is the reverse of AlarmSubject.
func ParseAlarmSubject(subject string) (device, typ, qualifier string, ok bool) {
	t, ok := tokens(subject, prefixAlarm, 3)
	if !ok {
		return "", "", "", false
	}
	return t[0], t[1], t[2], true
}

// alarmDevice is the device of an alarm's subject, without a look at the rest.
func alarmDevice(subject string) (device string, ok bool) {
	rest, ok := strings.CutPrefix(subject, prefixAlarm)
	if !ok {
		return "", false
	}
	token, _, _ := strings.Cut(rest, ".")
	return Unescape(token)
}

// NoticeSubject is the subject of a notice to the audience.
func NoticeSubject(to Audience, id string) string {
	return prefixNotice + to.subject() + "." + Escape(id)
}

// DeviceSubject holds the groups of a device.
func DeviceSubject(device string) string { return prefixDevice + Escape(device) }

// MemberSubject holds whether the user belongs to the group.
func MemberSubject(group, user string) string {
	return prefixMember + Escape(group) + "." + Escape(user)
}

// RouteSubject holds the groups of a route.
func RouteSubject(route string) string { return prefixRoute + Escape(route) }

// TopicSubject is that of the messages of a topic, which belong to nobody's inbox.
func TopicSubject(name string) string { return prefixTopic + Escape(name) }

// ParseTopicSubject is the reverse of TopicSubject.
func ParseTopicSubject(subject string) (name string, ok bool) {
	t, ok := tokens(subject, prefixTopic, 1)
	if !ok {
		return "", false
	}
	return t[0], true
}

// tokens splits what follows the prefix into n unescaped tokens.
func tokens(subject, prefix string, n int) ([]string, bool) {
	rest, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return nil, false
	}
	t := strings.Split(rest, ".")
	if len(t) != n {
		return nil, false
	}
	for i := range t {
		if t[i], ok = Unescape(t[i]); !ok {
			return nil, false
		}
	}
	return t, true
}

const hexDigits = "0123456789ABCDEF"

// plain says whether a byte stands for itself in a token. What is left is safe
// in a subject, in a path segment of a URL and in a key of a bucket.
func plain(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_'
}

// Escape writes a text as one token of [A-Za-z0-9_=-]: every other byte becomes
// = and two hexadecimal digits, the empty text becomes _, and _ itself =5F.
func Escape(s string) string {
	switch s {
	case "":
		return "_"
	case "_":
		return "=5F"
	}
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// Unescape is the reverse of Escape; ok is false for what Escape never writes.
func Unescape(token string) (s string, ok bool) {
	if token == "_" {
		return "", true
	}
	if token == "" {
		return "", false
	}
	if strings.IndexByte(token, '=') < 0 {
		for i := range len(token) {
			if !plain(token[i]) {
				return "", false
			}
		}
		return token, true
	}
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c != '=' {
			if !plain(c) {
				return "", false
			}
			b = append(b, c)
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	s = string(b)
	return s, Escape(s) == token
}

// An Audience names whose inbox an entry belongs to: one user's, everyone's, or
// that of all who share a group with a route. The zero value is nobody's.
type Audience string

// Everyone is the audience of all users.
const Everyone Audience = "all"

// UserAudience is the audience of one user.
func UserAudience(user string) Audience { return Audience("u." + user) }

// RouteAudience is the audience of a route; see Route in the package directory.
func RouteAudience(route string) Audience { return Audience("r." + route) }

// User returns the user of a UserAudience.
func (a Audience) User() (string, bool) { return strings.CutPrefix(string(a), "u.") }

// Route returns the route of a RouteAudience.
func (a Audience) Route() (string, bool) { return strings.CutPrefix(string(a), "r.") }

func (a Audience) subject() string {
	if a == Everyone {
		return "all"
	}
	if len(a) > 2 && (a[:2] == "u." || a[:2] == "r.") {
		return string(a[:2]) + Escape(string(a[2:]))
	}
	panic(fmt.Sprintf("inbox: no subject for the audience %q", string(a)))
}
