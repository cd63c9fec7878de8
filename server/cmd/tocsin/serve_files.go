package main

import (
	"context"
	"errors"
	"os"
	"time"

	"tocsin/server/auth"
	"tocsin/server/httpd"
)

// filesEvery is how often it is looked whether a key or a certificate has changed.
const filesEvery = time.Second

func (n *node) takeKeys(context.Context) error {
	n.keyFiles = newStamps(n.conf.SecretFile, n.conf.PEMFile, n.conf.JWKSFile)
	o, err := authOptions(n.conf, n.logger)
	if err != nil {
		return err
	}
	// The context ends what keeps the keys fresh.
	n.verifier, err = auth.New(n.running, o)
	return err
}

// takeCertificate makes the public listener speak TLS, if it is to.
func (n *node) takeCertificate() (err error) {
	if n.conf.TLSCert == "" {
		return nil
	}
	n.certFiles = newStamps(n.conf.TLSCert, n.conf.TLSKey)
	if n.cert, err = httpd.LoadCertificate(n.conf.TLSCert, n.conf.TLSKey); err != nil {
		return err
	}
	n.public = n.cert.Listen(n.public)
	return nil
}

// reloadFiles reads the files of keys and of the certificate anew. What cannot be
// read, or makes no sense, stays as it was. It may be called by any goroutine.
func (n *node) reloadFiles() error {
	return errors.Join(n.reloadKeys(), n.reloadCertificate())
}

func (n *node) reloadKeys() error {
	o, err := authOptions(n.conf, n.logger)
	if err == nil {
		err = n.verifier.Replace(o)
	}
	return err
}

func (n *node) reloadCertificate() error {
	if n.cert == nil {
		return nil
	}
	return n.cert.Reload()
}

// watchFiles follows those files, whether they are written or replaced, links to
// them included, as orchestrators do it. A file system that tells of changes would
// not tell of all of these. reload has them read in any case.
func (n *node) watchFiles(context.Context) error {
	n.reloads = append(n.reloads, n.reloadFiles)
	// Ends with running.
	n.background.Go(func() {
		tick := time.NewTicker(filesEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-n.running.Done():
				return
			}
			n.follow(n.keyFiles, "keys", n.reloadKeys)
			n.follow(n.certFiles, "certificate", n.reloadCertificate)
		}
	})
	return nil
}

// follow reads files again if they have changed.
func (n *node) follow(files stamps, what string, reload func() error) {
	if !files.changed() {
		return
	}
	if err := reload(); err != nil {
		n.logger.Error("a file has changed and is of no use: what it held before stays in force", "what", what, "error", err)
		return
	}
	n.logger.Info("read again what has changed", "what", what)
}

// stamps are what files look like from outside, by their paths. A file that is not
// there has a nil one.
type stamps map[string]os.FileInfo

// newStamps looks at files, those whose path is not empty.
func newStamps(paths ...string) stamps {
	s := stamps{}
	for _, path := range paths {
		if path != "" {
			s[path], _ = os.Stat(path)
		}
	}
	return s
}

// changed says whether one has changed since it was asked last. A file that is gone
// has not, as another one is about to come.
func (s stamps) changed() (any bool) {
	for path, was := range s {
		now, err := os.Stat(path)
		if err != nil {
			continue
		}
		if was == nil || !os.SameFile(was, now) || !was.ModTime().Equal(now.ModTime()) || was.Size() != now.Size() {
			s[path], any = now, true
		}
	}
	return any
}
