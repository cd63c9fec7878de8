package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tocsin/server/natslog"
)

// checkRights says who else may read what everybody has been told.
func (d *doctor) checkRights(info fs.FileInfo) {
	mode := info.Mode().Perm()
	d.sayIf(mode&0o007 != 0, "rights", stateWarn,
		fmt.Sprintf("every user of this machine may open %s (%v)", d.Dir, mode), "chmod o-rwx "+d.Dir,
		fmt.Sprintf("%v on %s", mode, d.Dir))
	locked := 0
	_ = filepath.WalkDir(d.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			locked++
			return nil //nolint:nilerr // it is counted
		}
		if e.Type().IsRegular() {
			if f, err := os.OpenFile(path, os.O_RDWR, 0); err != nil {
				locked++
			} else {
				_ = f.Close()
			}
		}
		return nil
	})
	d.sayIf(locked > 0, "writable", stateFail, fmt.Sprintf("%d files cannot be opened for writing by this user", locked),
		"run as the user that serves, or give him the files with chown", "all files can be read and written by this user")
}

// checkSpace compares what is free with the reserve.
func (d *doctor) checkSpace() {
	free, err := natslog.FreeSpace(d.Dir)
	reserve := uint64(d.conf.Reserve)
	found := fmt.Sprintf("%s free, the reserve is %s", sizeText(free), sizeText(reserve))
	switch {
	case err != nil:
		d.say("space", stateFail, err.Error(), "look at the file system")
	case free < reserve:
		d.say("space", stateFail, found, "publishers are refused: make room, lower retention or retention-bytes")
	case free < 2*reserve:
		d.say("space", stateWarn, found, "make room before publishers are refused")
	default:
		d.say("space", stateOK, found, "")
	}
}

func sizeText(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}

// checkAside says what former starts have put aside.
func (d *doctor) checkAside() {
	list, err := os.ReadDir(filepath.Join(d.Dir, "damaged"))
	if err != nil || len(list) == 0 {
		return
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	d.say("aside", stateWarn, fmt.Sprintf("damaged files were put aside (%s)", strings.Join(names, ", ")),
		"look at the report.json in there, then remove the folder "+filepath.Join(d.Dir, "damaged"))
}

// checkKeyFiles reads the keys that the settings name.
func (d *doctor) checkKeyFiles() {
	s := d.conf
	if cmp.Or(s.Secret, s.SecretFile, s.PEMFile, s.JWKSFile, s.JWKSURL) == "" {
		d.say("keys", stateOK, "none are configured here; give the configuration of the node to have them checked", "")
		return
	}
	_, err := authOptions(*s, nil)
	if err != nil {
		d.say("keys", stateFail, err.Error(), "tokens cannot be verified without it")
		return
	}
	for _, path := range []string{s.SecretFile, s.HookSecretFile, s.ClusterSecretFile, s.ClusterKeyFile, s.NATSPasswordFile, s.NATSTokenFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			d.say("keys", stateFail, err.Error(), "put the file there, or change the setting")
		case info.Mode().Perm()&0o077 != 0:
			d.say("keys", stateWarn, fmt.Sprintf("others than its owner may use %s (%v)", path, info.Mode().Perm()), "chmod go-rwx "+path)
		}
	}
	d.say("keys", stateOK, "those that the settings name can be read", "")
}
