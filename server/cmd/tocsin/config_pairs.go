package main

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"tocsin/server/topics"
)

// A pairsValue gives names of applications topics, separated by commas:
// v1/chat=chat/v1.
type pairsValue struct{ p *map[string]string }

func (v pairsValue) Set(s string) error {
	pairs := map[string]string{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, topic, _ := strings.Cut(item, "=")
		_, twice := pairs[name]
		if name == "" || twice || topics.CheckName(topic) != nil {
			return errors.New("want a list of names with topics, such as v1/chat=chat/v1")
		}
		pairs[name] = topic
	}
	*v.p = pairs
	return nil
}

func (v pairsValue) String() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(*v.p)) {
		list = append(list, name+"="+(*v.p)[name])
	}
	return strings.Join(list, ",")
}

func (v pairsValue) Type() string { return "name=topic" }
