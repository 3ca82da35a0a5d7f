#!/bin/sh
# Runs the module's fuzz targets, two at a time, for FUZZTIME each (30s unless
# set), and fails when any does. With arguments, only those in these folders.
set -eu
cd "$(dirname "$0")/.."
if [ "${1-}" = --one ]; then # FOLDER:TARGET
	dir=${2%:*} name=${2#*:}
	out=$(go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-30s}" -parallel 1 "./$dir" 2>&1) || { printf '%s\n' "$out"; exit 1; }
	echo "$dir $name: $(printf '%s\n' "$out" | sed -n 's/.*\(execs: [0-9]*\).*/\1/p' | tail -n 1)"
	exit
fi
grep -r --include='*_test.go' -o '^func Fuzz[A-Za-z0-9]*' "${@:-.}" |
	sed -n 's|^\(\./\)\{0,1\}\(.*\)/[^/]*:func \(.*\)$|\2:\3|p' | sort -u | xargs -n 1 -P 2 sh e2e/fuzz.sh --one
