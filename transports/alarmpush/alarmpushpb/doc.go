// Package alarmpushpb are the messages of alarm push in protobuf
// (docs/compat/alarm-push.md), generated from alarmpush.proto, which clients in
// other languages are generated from, too.
//
// To generate them anew, have protoc (protobuf-compiler on Debian) and run
// go generate in this folder.
package alarmpushpb

//go:generate sh -c "GOBIN=$DOLLAR{TMPDIR:-/tmp}/tocsin-protoc go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12 && protoc --plugin=$DOLLAR{TMPDIR:-/tmp}/tocsin-protoc/protoc-gen-go --go_out=. --go_opt=paths=source_relative alarmpush.proto"
