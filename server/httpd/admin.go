package httpd

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/server/inbox"
)

// groupsBody is what is known of a device or a user.
type groupsBody struct {
	Groups []string `json:"groups"`
}

func writeGroups(c echo.Context, groups []string) error {
	if groups == nil {
		groups = []string{}
	}
	return writeJSON(c, http.StatusOK, groupsBody{groups})
}

// change reads the name in the path and the groups in the body, and applies them.
func (s *Server) change(c echo.Context, put func(name string, groups []string) error) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	var body groupsBody
	if err := s.readJSON(c, &body, false); err != nil {
		return err
	}
	if body.Groups == nil {
		return inbox.Fieldf("groups", "required: a list of names")
	}
	if err := put(name, body.Groups); err != nil {
		return err
	}
	return writeGroups(c, inbox.SortGroups(body.Groups))
}

func (s *Server) getDevice(c echo.Context, _ auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	groups, known := s.o.Directory.Device(name)
	if !known {
		return errNotFound
	}
	return writeGroups(c, groups)
}

func (s *Server) putDevice(c echo.Context, _ auth.Identity) error {
	return s.change(c, func(name string, groups []string) error {
		return s.o.Directory.PutDevice(c.Request().Context(), name, groups)
	})
}

func (s *Server) deleteDevice(c echo.Context, _ auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	if err := s.o.Directory.DeleteDevice(c.Request().Context(), name); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// getUser answers for every name: a user whom the directory does not have is one
// without groups.
func (s *Server) getUser(c echo.Context, _ auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	return writeGroups(c, s.o.Directory.User(name))
}

func (s *Server) putUser(c echo.Context, _ auth.Identity) error {
	return s.change(c, func(name string, groups []string) error {
		return s.o.Directory.PutUser(c.Request().Context(), name, groups)
	})
}

func (s *Server) deleteUser(c echo.Context, _ auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	if err := s.o.Directory.DeleteUser(c.Request().Context(), name); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// An importError is what broke an import off, and what had been done by then.
type importError struct {
	error
	report any
}

func (e *importError) Unwrap() error { return e.error }

// postDirectory is POST /v1/directory: JSON Lines of any length, as long as they
// keep coming.
func (s *Server) postDirectory(c echo.Context, _ auth.Identity) error {
	t, err := mediaType(c)
	if err != nil {
		return err
	}
	if t != typeJSON && t != typeNDJSON {
		return fmt.Errorf("%w: want %s, not %.80q", errMediaType, typeNDJSON, t)
	}
	rc := http.NewResponseController(c.Response())
	report, err := s.o.Directory.Import(c.Request().Context(), &steady{c.Request().Body, rc, s.o.BodyTimeout})
	if err != nil {
		return &importError{err, report}
	}
	bodyDone(c)
	return writeJSON(c, http.StatusOK, report)
}

// A steady reader gives up when nothing comes for a while.
type steady struct {
	io.Reader
	rc      *http.ResponseController
	patient time.Duration
}

func (r *steady) Read(b []byte) (int, error) {
	_ = r.rc.SetReadDeadline(time.Now().Add(r.patient))
	return r.Reader.Read(b)
}
