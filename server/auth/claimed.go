package auth

import (
	"encoding/json"
	"strings"
)

// Claimed is the user whom a token names, empty if it names none that there could be.
// Nobody vouches for him: it is for telling an operator whose token was refused, and
// nothing else.
func Claimed(token string) string {
	parts := strings.Split(token, ".")
	if len(token) > MaxToken || len(parts) != 3 {
		return ""
	}
	payload, err := segment(parts[1])
	if err != nil {
		return ""
	}
	var c struct {
		User string `json:"sub"`
	}
	if json.Unmarshal(payload, &c) != nil || len(c.User) > 4*MaxUser {
		return ""
	}
	return c.User
}
