package httpd

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/audit"
	"tocsin/server/auth"
	"tocsin/transports"
)

// postBackup is POST /v1/backup (docs/protocol.md §9): everything that is stored,
// as it is made. What goes wrong on the way breaks the answer off, so that nobody
// takes a part for the whole.
func (s *Server) postBackup(c echo.Context, id *auth.Identity) error {
	if s.o.Backup == nil {
		return errNotFound
	}
	last := false
	switch value := c.QueryParam("last"); value {
	case "", "0":
	case "1":
		last = true
	default:
		return &transports.ParamError{Param: "last", Detail: fmt.Sprintf("want 1 or 0, not %.40q", value)}
	}
	note(c).long = true
	// Before it is made, as nothing can be stored after the last one.
	s.administered(c, id, audit.Backup, nil, struct {
		Last bool `json:"last"`
	}{last})
	w := &steadyWriter{c: c, rc: http.NewResponseController(c.Response()), timeout: s.o.AnswerTimeout, contentType: "application/zip"}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="tocsin-backup.zip"`)
	err := s.o.Backup(c.Request().Context(), w, last)
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.timeout)) // of what is still in buffers
	if err != nil && w.begun {
		note(c).err = err
		s.o.Logger.Error("a backup broke off", "error", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// A steadyWriter is a long answer each part of which has its own time to be taken.
type steadyWriter struct {
	c       echo.Context
	rc      *http.ResponseController
	timeout time.Duration
	begun   bool
	// contentType is that of the answer.
	contentType string
}

func (w *steadyWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		h := w.c.Response().Header()
		h.Set("Content-Type", w.contentType)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
		w.c.Response().WriteHeader(http.StatusOK)
	}
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.timeout))
	n, err := w.c.Response().Write(p)
	idleWriter(w.c, w.rc)
	return n, err
}
