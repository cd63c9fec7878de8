// Package page serves an inbox as HTML that refreshes itself and needs no script
// (docs/protocol.md §7), down to text browsers.
//
// The page is a short poll with an HTML encoder: it lists what is open, and its
// URL carries the cursor, so that what came since the last refresh is marked.
// Nothing is kept between two refreshes. The refresh stands in <noscript>; where
// there is script, script.js does it, and better. A page of its own tells what happened to
// one alarm. Forms do what can be done to alarms, mark as read, log in and log out;
// each answers with a redirect to where the user was. What takes typing or ticking
// is only on pages that stand still.
//
// Rules of use: call the functions from the request's handler; [Serve],
// [ServeAlarm], [Acknowledge], [Operate], [Read] and [Logout] with the request
// authenticated. Each either
// writes its whole answer or returns an error and has written nothing; the
// caller answers that with [LoginForm], when the user is not known, or [Fail].
// The headers of this package are to be left as they are: its Referrer-Policy
// makes browsers name the page's origin in the forms they send.
package page
