package page

import "net/http"

// A Problem is what went wrong, in words for people.
type Problem struct {
	Status int // of the answer
	Title  string
	Detail string // more about it, or empty
	// Retry is when to try again, in seconds, or 0: the page then does so by itself
	// if it was only looked at.
	Retry int
}

// A loginPage is what its template gets.
type loginPage struct {
	Problem *Problem
	Cursor  string
	Paused  bool
}

// LoginForm answers a request of somebody unknown: p says why he has to log in,
// nil that he simply has to. The form leads back to the request's place.
func LoginForm(w http.ResponseWriter, r *http.Request, p *Problem) error {
	status := http.StatusUnauthorized
	if p != nil && p.Status != 0 {
		status = p.Status
	}
	at := placeOf(r)
	return write(w, status, "login", loginPage{Problem: p, Cursor: at.cursor, Paused: at.paused})
}

// A failPage is what its template gets.
type failPage struct {
	Problem
	Back    string
	Refresh *refresh
}

// Fail answers with a problem, and a way back to where the user was.
func Fail(w http.ResponseWriter, r *http.Request, p Problem) error {
	if r.Method != http.MethodGet {
		p.Retry = 0
	}
	pg := failPage{Problem: p, Back: placeOf(r).url()}
	if p.Retry > 0 {
		pg.Refresh = &refresh{Seconds: p.Retry, URL: pg.Back}
	}
	return write(w, p.Status, "fail", pg)
}
