package sockjs

import (
	"net/http"
	"regexp"
	"strings"
)

// A form is how one transport gives frames to its client.
type form struct {
	contentType string
	// poll: the answer is one frame, else it goes on up to Options.ResponseLimit.
	poll bool
	// callback: the client names the function that it wants to have called.
	callback bool
	// prelude is what comes before the first frame of a stream.
	prelude func(callback string) string
	// open and close stand around a frame; quoted ones are JavaScript strings.
	open   func(callback string) string
	quoted bool
	close  string
}

var (
	xhrPoll   = form{contentType: javaScript, poll: true, open: always(""), close: "\n"}
	xhrStream = form{contentType: javaScript, open: always(""), close: "\n",
		// Browsers hand nothing to their page before they have got some.
		prelude: always(strings.Repeat("h", 2048) + "\n")}
	eventSource = form{contentType: "text/event-stream", open: always("data: "), close: "\r\n\r\n",
		prelude: always("\r\n")}
	htmlFile = form{contentType: html, callback: true, open: always("<script>\np("), quoted: true, close: ");\n</script>\r\n",
		prelude: htmlHead}
	jsonpPoll = form{contentType: javaScript, poll: true, callback: true, quoted: true, close: ");\r\n",
		// The comment keeps the answer from being taken for something else.
		open: func(callback string) string { return "/**/" + callback + "(" }}
)

func always(text string) func(string) string {
	return func(string) string { return text }
}

// append writes a frame as the transport does.
func (f *form) append(b, frame []byte, callback string) []byte {
	b = append(b, f.open(callback)...)
	if f.quoted {
		b = appendString(b, frame, true)
	} else {
		b = append(b, frame...)
	}
	return append(b, f.close...)
}

// htmlHead is the beginning of a page that never ends, in an iframe of the
// client's page, whose function it calls. Browsers show nothing of a shorter one.
func htmlHead(callback string) string {
	const atLeast = 1024
	head := `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.` + callback + `;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
`
	return head + strings.Repeat(" ", max(0, atLeast-len(head))) + "\r\n\r\n"
}

var noCallback = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

// callbackOf reads ?c=, which becomes part of a script. What is wrong with it has
// been answered.
func callbackOf(q *request) (callback string, ok bool) {
	callback = q.r.URL.Query().Get("c")
	switch {
	case callback == "":
		http.Error(q.w, `"callback" parameter required`, http.StatusInternalServerError)
	case len(callback) > maxName || noCallback.MatchString(callback):
		http.Error(q.w, `invalid "callback" parameter`, http.StatusInternalServerError)
	default:
		return callback, true
	}
	return "", false
}
