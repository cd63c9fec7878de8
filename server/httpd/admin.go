package httpd

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/audit"
	"tocsin/server/auth"
	"tocsin/server/inbox"
)

// groupsBody is what is known of a device or a user.
type groupsBody struct {
	Groups []string `json:"groups"`
}

// regrouped is what the trail keeps of a change of the directory.
type regrouped struct {
	Groups []string `json:"groups"`
	Was    []string `json:"was"`
}

// groupsOf are those that the directory has of a device.
func (s *Server) groupsOf(device string) []string {
	groups, _ := s.o.Directory.Device(device)
	return groups
}

func writeGroups(c echo.Context, groups []string) error {
	if groups == nil {
		groups = []string{}
	}
	return writeJSON(c, http.StatusOK, groupsBody{groups})
}

// change reads the name in the path and the groups in the body, and applies them; was
// is what the name had before.
func (s *Server) change(c echo.Context, id *auth.Identity, what string, was func(name string) []string, put func(name string, groups []string) error) error {
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
	before := was(name)
	if err := put(name, body.Groups); err != nil {
		return err
	}
	groups := inbox.SortGroups(body.Groups)
	s.administered(c, id, what, []string{name}, regrouped{groups, before})
	return writeGroups(c, groups)
}

func (s *Server) getDevice(c echo.Context, _ *auth.Identity) error {
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

func (s *Server) putDevice(c echo.Context, id *auth.Identity) error {
	return s.change(c, id, audit.PutDevice, s.groupsOf, func(name string, groups []string) error {
		return s.o.Directory.PutDevice(c.Request().Context(), name, groups)
	})
}

func (s *Server) deleteDevice(c echo.Context, id *auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	before := s.groupsOf(name)
	if err := s.o.Directory.DeleteDevice(c.Request().Context(), name); err != nil {
		return err
	}
	s.administered(c, id, audit.DeleteDevice, []string{name}, regrouped{nil, before})
	return c.NoContent(http.StatusNoContent)
}

// getUser answers for every name: a user whom the directory does not have is one
// without groups.
func (s *Server) getUser(c echo.Context, _ *auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	return writeGroups(c, s.o.Directory.User(name))
}

func (s *Server) putUser(c echo.Context, id *auth.Identity) error {
	return s.change(c, id, audit.PutUser, s.o.Directory.User, func(name string, groups []string) error {
		return s.o.Directory.PutUser(c.Request().Context(), name, groups)
	})
}

func (s *Server) deleteUser(c echo.Context, id *auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	before := s.o.Directory.User(name)
	if err := s.o.Directory.DeleteUser(c.Request().Context(), name); err != nil {
		return err
	}
	s.administered(c, id, audit.DeleteUser, []string{name}, regrouped{nil, before})
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
func (s *Server) postDirectory(c echo.Context, id *auth.Identity) error {
	t, err := mediaType(c)
	if err != nil {
		return err
	}
	if t != typeJSON && t != typeNDJSON {
		return fmt.Errorf("%w: want %s, not %.80q", errMediaType, typeNDJSON, t)
	}
	rc := http.NewResponseController(c.Response())
	report, err := s.o.Directory.Import(c.Request().Context(), &steady{c.Request().Body, rc, s.o.BodyTimeout})
	s.administered(c, id, audit.Import, nil, report) // also what was done of one that broke off
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
