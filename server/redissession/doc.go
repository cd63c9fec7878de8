// Package redissession knows the sessions that another system keeps in Redis: it is
// an auth.Resolver that reads whose a session is from the value under its key.
//
// Rules of use: one [Sessions] a process, by many goroutines at once; Close it in
// the end. Give it to auth.Remember, which bounds how often Redis is asked and keeps
// those in who are known while Redis is down. Only this package imports go-redis.
package redissession
