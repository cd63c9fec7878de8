// Package docs holds the documentation, and of it in the program what a client may
// want to ask for.
package docs

import _ "embed" // the document

// OpenAPI is the HTTP API as OpenAPI 3.1, in YAML: openapi.yaml. It must not be
// changed.
//
//go:embed openapi.yaml
var OpenAPI []byte
