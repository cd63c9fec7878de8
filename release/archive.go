package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"time"
)

// A file is one of an archive.
type file struct {
	name    string
	text    []byte
	program bool // may be run
}

func (f *file) mode() int64 {
	if f.program {
		return 0o755
	}
	return 0o644
}

// tarGz packs files into a directory of the archive's name: in their order, all of
// one time, and nobody's in particular.
func tarGz(name string, files []file, at time.Time) ([]byte, error) {
	var packed bytes.Buffer
	squeeze, err := gzip.NewWriterLevel(&packed, gzip.BestCompression) // without a name and a time
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(squeeze)
	for i := range files {
		f := &files[i]
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name + "/" + f.name, Size: int64(len(f.text)),
			Mode: f.mode(), ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatUSTAR})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := squeeze.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// zipped is tarGz for systems that know zip.
func zipped(name string, files []file, at time.Time) ([]byte, error) {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for i := range files {
		f := &files[i]
		head := &zip.FileHeader{Name: name + "/" + f.name, Method: zip.Deflate, Modified: at}
		head.SetMode(0o644)
		if f.program {
			head.SetMode(0o755)
		}
		in, err := w.CreateHeader(head)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(in, bytes.NewReader(f.text)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
