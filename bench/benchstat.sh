#!/usr/bin/env bash
# Compares the Go benchmarks of the core and of the log with those of another
# revision, in turns, so that the machine's other work hits both.
#
#   bench/benchstat.sh [revision]     default: the commit before this one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=${1:-HEAD~1} rounds=${ROUNDS:-6} time=${BENCHTIME:-200ms} which=${BENCH:-.}
packages=(inbox natslog)
benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/base"
git archive "$base" | tar -x -C "$dir/base"

for p in "${packages[@]}"; do
	go test -c -o "$dir/new-$p" "./server/$p"
	(cd "$dir/base" && go test -c -o "$dir/old-$p" "./server/$p")
done
for ((i = 0; i < rounds; i++)); do
	for p in "${packages[@]}"; do
		for side in old new; do
			(cd "server/$p" && "$dir/$side-$p" -test.run '^$' -test.bench "$which" -test.benchmem -test.benchtime "$time") >>"$dir/$side.txt"
		done
	done
done
go run "$benchstat" "$base=$dir/old.txt" "now=$dir/new.txt"
