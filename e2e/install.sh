#!/bin/sh
# Installs what `make e2e` needs and a plain machine lacks: Debian packages,
# Python packages in a virtual environment, Go tools by version. Does nothing
# when all of it is there already.
set -eu
cd "$(dirname "$0")/.."
root=$PWD/.e2e
mkdir -p "$root/bin"

packages="zip unzip p7zip-full libarchive-tools dash busybox-static shellcheck python3 python3-venv nodejs npm curl tar strace procps wget openssl postgresql rclone util-linux fdisk e2fsprogs xfsprogs cryptsetup-bin lvm2 gdisk rsync openssh-client openssh-server restic acl attr gocryptfs fuse3 systemd"
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

# Everybody may open it, as udev's rule has it; not every machine runs udev.
if [ "$(id -u)" = 0 ] && [ -c /dev/fuse ]; then chmod 666 /dev/fuse; fi

tool() { # tool NAME PACKAGE@VERSION
	want=$root/bin/.$1-$(echo "$2" | tr '/@' '__')
	[ -e "$want" ] && return
	GOBIN=$root/bin GOFLAGS='' CGO_ENABLED=0 go install "$2"
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

# A current git beside Debian's, for what restores must work with too: from
# the testing release, with its own C library, since this one's is too old. It
# works on local repositories and bundles; over HTTP and for submodules use
# the other. APT keeps no trace of it.
current() { "$root/git-current/bin/git" version 2>/dev/null | grep -Eq '^git version (2\.([5-9][0-9]|[0-9]{3,})|[3-9])\.'; }
mirror() { # where this machine gets Debian from
	# shellcheck disable=SC2016 # apt-get's format string is not the shell's
	apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(RELEASE)' 'Created-By: Packages' | sed -n 's/ Debian bookworm$//p' | head -n 1
}
# other DIR RELEASE PACKAGE... unpacks packages of another release of Debian
# below DIR.
other() {
	to=$1 release=$2
	shift 2
	if [ -z "$(mirror)" ]; then
		sudo=
		[ "$(id -u)" = 0 ] || sudo=sudo
		$sudo apt-get update -qq
	fi
	[ -n "$(mirror)" ] || { echo "install.sh: apt knows no source of Debian bookworm here: add one below /etc/apt" >&2; exit 1; }
	mkdir -p "$to/apt/lists/partial" "$to/apt/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $release main" >"$to/apt/sources.list"
	private() { # apt-get on this list alone, which may come from an old copy of Debian's archive
		(cd "$to/apt" && apt-get -qq -o Dir::Etc::SourceList="$to/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
			-o Dir::State::Lists="$to/apt/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$to/apt" \
			-o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false \
			-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@")
	}
	private update
	private download "$@"
	for deb in "$to"/apt/*.deb; do dpkg -x "$deb" "$to"; done
	rm -r "$to/apt"
}
if ! current; then
	new=$root/git-current
	rm -rf "$new"
	mkdir -p "$new/bin"
	other "$new" forky git libc6 zlib1g libpcre2-8-0
	# Git starts itself under several names; all must find this C library.
	cat >"$new/bin/git" <<-X
		#!/bin/sh
		export GIT_EXEC_PATH='$new/bin' GIT_TEMPLATE_DIR='$new/usr/share/git-core/templates'
		exec $(echo "$new"/usr/lib/*/ld-linux-*.so.*) --library-path $(echo "$new"/usr/lib/*-linux-gnu*) --argv0 "\$0" '$new/usr/bin/git' "\$@"
	X
	chmod +x "$new/bin/git"
	for name in git-upload-pack git-receive-pack git-upload-archive; do ln -s git "$new/bin/$name"; done
	current || { echo "install.sh: $new/bin/git is no git of version 2.50 or later: $("$new/bin/git" version 2>&1)" >&2; exit 1; }
fi

# An rsync from before 3.2.4, which sends names without escaping them, as those
# of 2018 to 2022 do: Debian 11's, with the libraries that this system lacks.
oldrsync() { "$root/rsync-old/bin/rsync" --version 2>/dev/null | grep -q '^rsync  version 3\.2\.3 '; }
if ! oldrsync; then
	new=$root/rsync-old
	rm -rf "$new"
	mkdir -p "$new/bin"
	other "$new" bullseye rsync libssl1.1
	cat >"$new/bin/rsync" <<-X
		#!/bin/sh
		LD_LIBRARY_PATH=$(echo "$new"/usr/lib/*-linux-gnu*) exec '$new/usr/bin/rsync' "\$@"
	X
	chmod +x "$new/bin/rsync"
	oldrsync || { echo "install.sh: $new/bin/rsync is no rsync 3.2.3: $("$new/bin/rsync" --version 2>&1 | head -n 1)" >&2; exit 1; }
fi
