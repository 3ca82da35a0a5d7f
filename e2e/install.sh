#!/bin/sh
# Installs what `make e2e` needs and a plain machine lacks: Debian packages,
# Python packages in a virtual environment, Go tools by version. Does nothing
# when all of it is there already.
set -eu
cd "$(dirname "$0")/.."
root=$PWD/.e2e
mkdir -p "$root/bin"

packages="zip unzip p7zip-full libarchive-tools dash busybox-static shellcheck python3 python3-venv nodejs npm curl tar strace"
missing=
for p in $packages; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
for tool in npm node; do # these may come from elsewhere than Debian
	command -v $tool >/dev/null 2>&1 && missing=$(echo "$missing" | sed "s/\bnodejs\b//;s/\bnpm\b//")
done
if [ -n "$(echo "$missing" | tr -d ' ')" ]; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	$sudo apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

tool() { # tool NAME PACKAGE@VERSION
	want=$root/bin/.$1-$(echo "$2" | tr '/@' '__')
	[ -e "$want" ] && return
	GOBIN=$root/bin GOFLAGS= CGO_ENABLED=0 go install "$2"
	: >"$want"
}
tool versitygw github.com/versity/versitygw/cmd/versitygw@v1.8.0

if [ ! -e "$root/venv/.requirements" ] || ! cmp -s e2e/requirements.txt "$root/venv/.requirements"; then
	python3 -m venv "$root/venv"
	"$root/venv/bin/pip" -q install --disable-pip-version-check -r e2e/requirements.txt
	cp e2e/requirements.txt "$root/venv/.requirements"
fi
if ! cmp -s e2e/package.json "$root/package.json"; then
	cp e2e/package.json "$root/package.json"
	(cd "$root" && npm install --silent --no-audit --no-fund --no-package-lock)
fi
