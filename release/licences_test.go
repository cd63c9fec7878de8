package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestThePageOfLicencesIsFresh(t *testing.T) {
	all, err := dependencies(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", licencesFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(licencesPage(all)) {
		t.Errorf("%s is not what the program is made of: run go run ./release -licences", licencesFile)
	}
	for _, want := range []string{"`Go`", "nats-server", "mousetrap", "uplot"} { // of all platforms, and browsers
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing", want)
		}
	}
	texts := string(licenceTexts(all))
	for _, d := range all {
		if !strings.Contains(texts, d.name+" "+d.version) {
			t.Errorf("the licence of %s has no text", d.name)
		}
	}
}

func TestLicencesThatForbidThisStopTheRelease(t *testing.T) {
	const mit = "Permission is hereby granted, free of charge, to any person\n\tobtaining a copy"
	for text, want := range map[string]string{
		mit: "MIT",
		"Apache License\n Version 2.0, January 2004":                                      "Apache-2.0",
		"Redistribution and use in source and binary forms, with":                         "BSD-2-Clause",
		"Redistribution and use in source and binary forms\n// Neither the name of X nor": "BSD-3-Clause",
		"GNU LESSER GENERAL PUBLIC LICENSE Version 3":                                     "",
		mit + ". Parts are under the Mozilla Public License":                              "",
		"All rights reserved.":                                                            "",
		"":                                                                                "",
	} {
		d := dependency{name: "x", texts: []string{text}}
		err := d.judge()
		if got := strings.Join(d.licences, ", "); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is taken for %q, %v", text, got, err)
		}
	}
	for text, fine := range map[string]bool{"Mozilla Public License Version 2.0\n": true, "GNU General Public License": false} {
		d := dependency{name: "github.com/r3labs/sse/v2", texts: []string{text}}
		if err := d.judge(); (err == nil) != fine {
			t.Errorf("the exception with %q: %v", text, err)
		}
	}
	if err := (&dependency{name: "x"}).judge(); err == nil {
		t.Error("without a licence nothing is allowed")
	}
}
