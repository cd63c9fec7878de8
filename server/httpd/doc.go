// Package httpd is the HTTP edge: routes, who may use them, bodies in and
// problems out.
//
// Handlers return errors, and one table (problems.go) says what each is on the
// wire, so that the same mistake has the same answer everywhere. What a request
// means is decided behind the interfaces of [Options]; how an inbox is delivered,
// in transports.
//
// Rules of use: make a [Server] with [New], give its listeners to [Server.Serve],
// end it with [Server.Shutdown]. This package is the only importer of echo.
package httpd
