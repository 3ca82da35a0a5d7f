#!/bin/sh
# Builds the virtual machine's disk: Debian bookworm for amd64 with cloud-init
# and curl, from the mirror this machine uses itself; nothing of mayfly is in
# it. Prints the directory it is in: root.img, vmlinuz, initrd, and a
# certificate that the image trusts (tls.crt, tls.key). Built once: the
# directory is named after this script's own hash.
#
# shellcheck disable=SC2016 # apt-get's format strings are not the shell's
set -eu
cd "$(dirname "$0")/../.."
dir=$PWD/.e2e/vm/$(sha256sum e2e/vm/image.sh | cut -c1-16)
if [ -e "$dir/root.img" ]; then
	echo "$dir"
	exit
fi
began=$(date +%s)
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
missing=
for p in qemu-system-x86 seabios mmdebstrap e2fsprogs iproute2 openssl; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
if [ -n "$missing" ]; then
	$sudo apt-get update -qq >&2
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >&2
fi

# Debian's own two archives, wherever this machine gets them from.
sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) main @$(ORIGIN)@' 'Created-By: Packages' |
	sed -n 's/ @Debian@$//p' | grep -E ' bookworm(-security)? ' | sort -u)
if [ -z "$sources" ]; then
	echo "image.sh: apt knows no source of Debian bookworm here: add one below /etc/apt and run apt-get update" >&2
	exit 1
fi

work=$dir.building
$sudo rm -rf "$work" "$dir"
mkdir -p "$work"
root=$work/root
without() { echo "--dpkgopt=path-exclude=/usr/share/$1/*"; }
echo "$sources" | $sudo mmdebstrap --mode=root --variant=essential --quiet \
	--aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
	"$(without man)" "$(without locale)" "$(without doc)" \
	--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
	--include=usr-is-merged,systemd-sysv,dbus,udev,iproute2,isc-dhcp-client \
	--include=linux-image-cloud-amd64,apt,curl,ca-certificates,cloud-init \
	bookworm "$root" - >&2

put() { # put PATH: a file of the image from standard input
	$sudo mkdir -p "$root/$(dirname "$1")"
	$sudo tee "$root/$1" >/dev/null
}
put etc/cloud/cloud.cfg.d/99_ec2.cfg <<'X'
datasource_list: [Ec2]
network: {config: disabled}
# Each costs an emulated machine seconds; those of user data stay.
cloud_init_modules: [bootcmd, write-files, set_hostname]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-vendor, scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user, final-message]
X
put etc/fstab <<'X'
/dev/vda / ext4 defaults 0 0
X
put etc/systemd/network/10-all.network <<'X'
[Match]
Type=ether
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
X
# Faults from inside: what the test answers at an address named on the
# kernel's command line is done as root. Without that word there is no agent.
put etc/systemd/system/test-agent.service <<'X'
[Unit]
Description=Do what the test says
ConditionKernelCommandLine=test.agent
After=network.target
[Service]
ExecStart=/usr/local/sbin/test-agent
StandardOutput=journal+console
StandardError=journal+console
[Install]
WantedBy=multi-user.target
X
put usr/local/sbin/test-agent <<'X'
#!/bin/sh
url=$(sed -n 's/.*test\.agent=\([^ ]*\).*/\1/p' /proc/cmdline)
while :; do
	if what=$(curl -fsS -m 10 "$url" 2>/dev/null) && [ -n "$what" ]; then
		echo "test-agent: $what"
		sh -c "$what"
	fi
	sleep 0.5
done
X
$sudo chmod 755 "$root/usr/local/sbin/test-agent"
$sudo systemctl --quiet --root="$root" enable systemd-networkd.service test-agent.service >&2
# Nothing here needs them, and the network is a private one.
$sudo systemctl --quiet --root="$root" mask apt-daily.timer apt-daily-upgrade.timer >&2

# mayfly talks to GitHub by https only.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=mayfly test' \
	-addext 'subjectAltName=IP:169.254.169.254' -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
$sudo tee -a "$root/etc/ssl/certs/ca-certificates.crt" <"$work/tls.crt" >/dev/null

$sudo cp "$root"/boot/vmlinuz-* "$work/vmlinuz"
$sudo cp "$root"/boot/initrd.img-* "$work/initrd"
$sudo rm -rf "$root"/boot/* "$root"/var/cache/apt/* "$root"/var/log/*.log
$sudo /sbin/mke2fs -q -t ext4 -d "$root" "$work/root.img" 1G >&2
$sudo rm -rf "$root"
$sudo chown -R "$(id -u):$(id -g)" "$work"
mv "$work" "$dir"
echo "image.sh: built in $(($(date +%s) - began)) s" >&2
echo "$dir"
