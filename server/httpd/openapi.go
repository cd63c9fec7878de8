package httpd

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"tocsin/docs"
)

// getOpenAPI is GET /openapi.yaml: what this server answers, for programs.
func getOpenAPI(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	return write(c, http.StatusOK, "application/yaml", docs.OpenAPI)
}
