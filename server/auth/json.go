package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep objects and lists may lie in each other.
const maxDepth = 16

// object reads one JSON object by its exact member names. encoding/json alone
// would take the last of two equal members where another reader takes the first,
// match names without regard to case, and repair bad UTF-8; each of them lets two
// programs read one signed text differently. Repeated names are refused at every
// depth.
func object(data []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	if !json.Valid(data) {
		return nil, errors.New("not valid JSON")
	}
	return members(data, 1)
}

// members reads the members of an object, which is known to be valid JSON.
func members(data []byte, depth int) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	found := make(map[string]json.RawMessage, 8)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("read a member's name: %w", err)
		}
		name, _ := t.(string)
		if _, twice := found[name]; twice {
			return nil, errors.New("the same JSON member twice")
		}
		if found[name], err = value(dec, depth); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// value reads the decoder's next value and checks what lies in it.
func value(dec *json.Decoder, depth int) (json.RawMessage, error) {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf("read a member: %w", err)
	}
	if raw[0] != '{' && raw[0] != '[' {
		return raw, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("JSON deeper than %d levels", maxDepth)
	}
	var err error
	if raw[0] == '{' {
		_, err = members(raw, depth+1)
	} else {
		_, err = elements(raw, depth+1)
	}
	return raw, err
}

// elements reads the elements of a list, which is known to be valid JSON.
func elements(data []byte, depth int) ([]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.New("not a JSON list")
	}
	var found []json.RawMessage
	for dec.More() {
		raw, err := value(dec, depth)
		if err != nil {
			return nil, err
		}
		found = append(found, raw)
	}
	return found, nil
}

// text reads a JSON string; ok is false for every other kind of value.
func text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}
