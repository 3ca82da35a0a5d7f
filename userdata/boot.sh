# Fetches mayfly and its config and starts the run as a unit. Whatever fails is
# said, the Auto Scaling group is left, and the machine is switched off.
umask 077
export LC_ALL=C
run=$root/run/mayfly
state=$root/var/lib/mayfly
imds='' instance='' region='' access='' secret='' token='' reason='' status=''
started=$(date +%s)
patience=$((DEADLINE / 3)) # in seconds, for what others may mend
[ $patience -lt 900 ] || patience=900
mkdir -p "$run" "$state" 2>/dev/null

say() {
	echo "mayfly: $*"
	echo "mayfly: $*" >>"$root/dev/console"
} 2>/dev/null

# http SECONDS ARGUMENT...: curl with the rest of its options on stdin.
http() {
	seconds=$1
	shift
	timeout -k 5 $((seconds + 5)) curl -q -sS -K - --proto =http,https --connect-timeout 10 \
		--max-time "$seconds" "$@"
}

# meta PATH: prints what instance metadata (version 2) says.
meta() {
	for pause in 1 2 4 8 0; do
		answer=$(printf 'header = "x-aws-ec2-metadata-token: %s"\n' "$imds" |
			http 5 --noproxy '*' -w '\n%{http_code}' "$IMDS/latest/$1" 2>/dev/null)
		case $answer in
		*"
200") echo "${answer%???}" && return ;;
		*404) return 1 ;;
		esac
		sleep $pause
	done
	return 1
}

# field NAME: a string of the JSON on stdin.
field() { sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' | head -n 1; }

# identity: who and where this is, and the role's credentials; $reason on failure.
identity() {
	for pause in 1 2 4 8 8 8 0; do
		imds=$(http 5 --noproxy '*' -f -X PUT -H 'x-aws-ec2-metadata-token-ttl-seconds: 3600' \
			"$IMDS/latest/api/token" </dev/null 2>/dev/null)
		[ -z "$imds" ] || break
		sleep $pause
	done
	reason="instance metadata does not answer: is it switched on, version 2, with a hop limit of 1 or more?"
	[ -n "$imds" ] || return 1
	instance=$(meta meta-data/instance-id) || return 1
	region=$REGION
	[ -n "$region" ] || region=$(meta meta-data/placement/region) || return 1
	role=$(meta meta-data/iam/security-credentials/ | head -n 1)
	reason="the instance has no role: add an instance profile to the launch template"
	[ -n "$role" ] || return 1
	keys=$(meta "meta-data/iam/security-credentials/$role")
	access=$(echo "$keys" | field AccessKeyId)
	secret=$(echo "$keys" | field SecretAccessKey)
	token=$(echo "$keys" | field Token)
	reason="the role $role gives no credentials: may EC2 assume it, and does it still exist?"
	[ -n "$access" ] && [ -n "$secret" ] || return 1
	reason=
}

# call SECONDS REGION SERVICE METHOD ENDPOINT PATH BODY FILE: a signed request,
# whose answer goes to FILE. Sets $status; on failure $reason, and returns 1.
call() {
	stamp=$(date -u +%Y%m%dT%H%M%SZ)
	base=${5#*://}
	host=${base%%/*}
	path=${base#"$host"}$6
	hash=$(printf %s "$7" | digest)
	names='host;x-amz-content-sha256;x-amz-date'
	headers="host:$host
x-amz-content-sha256:$hash
x-amz-date:$stamp"
	[ -z "$token" ] || names="$names;x-amz-security-token" headers="$headers
x-amz-security-token:$token"
	auth=$(sign "$2" "$3" "$4" "$path" '' "$headers" "$names" "$hash")
	status=$({
		printf 'url = "%s"\nheader = "authorization: %s"\n' "${5%%://*}://$host$path" "$auth"
		printf 'header = "x-amz-date: %s"\nheader = "x-amz-content-sha256: %s"\n' "$stamp" "$hash"
		[ -z "$token" ] || printf 'header = "x-amz-security-token: %s"\n' "$token"
		[ -z "$7" ] || printf 'data-binary = "%s"\n' "$7"
	} | http "$1" -X "$4" --speed-limit 1024 --speed-time 30 -o "$8" -w '%{http_code}' 2>"$run/curl")
	outcome $? "$8"
}

# outcome EXIT FILE: says in $reason what curl's status and its answer mean.
outcome() {
	[ "$1" != 0 ] || [ "$status" != 200 ] || return 0
	[ "$status" != 200 ] || status='cut'
	code=$(head -c 4096 "$2" 2>/dev/null | tr -d '\0\n' | sed -n 's/.*<Code>\([^<]*\)<.*/\1/p')
	reason="HTTP $status $code"
	case $status in
	403) reason="$reason: mayfly iam prints what the role must be allowed" ;;
	'' | 000 | cut) status=000 reason=$(head -c 300 "$run/curl" | tr '\n' ' ') ;;
	esac
	return 1
}

# get WHAT FILE SHA256 NAME [URL]: from the store's admin/, or the URL; tried
# again while there is time.
get() {
	rest=5 pause=1
	while :; do
		rm -f "$2"
		if [ -n "${5-}" ]; then
			status=$(printf 'url = "%s"\n' "$5" |
				http 120 -L --proto-redir =https --speed-limit 1024 --speed-time 30 \
					-o "$2" -w '%{http_code}' 2>"$run/curl")
			outcome $? "$2"
		else
			call 120 "$at" s3 GET "$store" "$STORE_PATH/admin/$4" '' "$2"
		fi && {
			sum=$(digest <"$2")
			[ "$sum" != "$3" ] || return 0
			status=sum reason="wrong checksum: it has sha256 $sum, not $3"
		}
		reason="fetch $1: $reason (${5:-$store$STORE_PATH/admin/$4})"
		say "$reason"
		case $status in
		404) reason="$reason: upload it as the user data names it" && return 1 ;;
		4?? | 3?? | sum) rest=$((rest - 1)) && [ $rest -gt 0 ] || return 1 ;;
		esac
		left=$((started + patience - $(date +%s)))
		[ "$left" -gt 0 ] || return 1
		[ $pause -le "$left" ] || pause=$left
		sleep $pause
		[ $pause -ge 30 ] || pause=$((pause * 2))
	done
}

escape() { od -An -v -tx1 | tr -d '\n' | tr ' ' '%'; }

# publish SUBJECT TEXT: to the topic, if there is one.
publish() {
	topic=$TOPIC
	if [ -z "$topic" ] && [ -n "$TOPIC_NAME" ]; then
		account=$(meta dynamic/instance-identity/document | field accountId)
		topic=arn:$partition:sns:$region:$account:$TOPIC_NAME
	fi
	[ -n "$topic" ] || return 0
	to=${topic#arn:*:sns:}
	to=${to%%:*}
	message=$(printf '%s\n\nInstance %s in %s. More: its console output, while it exists.\n' \
		"$2" "$instance" "$region" | escape)
	for pause in 1 3 0; do
		! call 10 "$to" sns POST "${SNS:-https://sns.$to.$suffix}" / \
			"Action=Publish&Version=2010-03-31&TopicArn=$(printf %s "$topic" | escape)&Subject=$(printf %s "$1" | escape)&Message=$message" \
			"$run/answer" || return 0
		sleep $pause
	done
	say "publish to $topic: $reason"
}

# leave: leave the Auto Scaling group, so that it wants one instance less and
# launches none instead of this one.
leave() {
	for pause in 2 4 8 8 0; do
		! call 10 "$region" autoscaling POST "${AUTOSCALING:-https://autoscaling.$region.$suffix}" / \
			"Action=TerminateInstanceInAutoScalingGroup&Version=2011-01-01&InstanceId=$instance&ShouldDecrementDesiredCapacity=true" \
			"$run/answer" || return 0
		case $status$code in
		000* | 429* | 5* | *Throttl* | *LimitExceeded | *ActivityInProgress* | *ResourceContention*) ;;
		*) break ;;
		esac
		sleep $pause
	done
	say "leave the Auto Scaling group: $reason"
}

# tell SUBJECT TEXT: say it to whom it concerns, then leave the group.
tell() {
	say "$2"
	known=1
	[ -n "$access" ] || identity || known=''
	[ -n "$known" ] || say "nobody is told: $reason"
	places
	[ -z "$known" ] || publish "mayfly $NAME: $1" "$2"
	[ "$KEEP" = 0 ] || say "the machine is kept for $KEEP s, or until its deadline"
	sleep "$KEEP"
	[ -z "$known" ] || leave
}

# fail TEXT: the end, when there is nothing to run.
fail() {
	trap '' EXIT HUP INT TERM
	tell 'failed before the run' "$1"
	timeout 10 systemd-run --no-block --unit=mayfly-off --property=DefaultDependencies=no \
		/bin/sh -c "$OFF" || eval "$OFF"
	exit 1
}

# places: where AWS is in this region.
places() {
	suffix=amazonaws.com partition=aws
	case $region in
	cn-*) suffix=amazonaws.com.cn partition=aws-cn ;;
	us-gov-*) partition=aws-us-gov ;;
	esac
	at=${STORE_REGION:-$region}
	store=${STORE_ENDPOINT:-https://${STORE_HOST}s3.$at.$suffix}
}

# ended: after the unit has. What ended in order has said so itself.
ended() {
	KEEP=0
	[ "${SERVICE_RESULT-}" != success ] || exit 0
	last=$(timeout 5 journalctl -u mayfly -n 20 -o cat 2>/dev/null | tr -cd '\11\12\40-\176' | tail -c 3000)
	tell 'failed, the program was cut off' "The run ended without finishing: ${SERVICE_RESULT-} (${EXIT_CODE-} ${EXIT_STATUS-}).

Its last words:
$last"
	exit 0
}

# install: packages that the jobs want and that are not there. A job that lacks
# one says so itself; the others go on.
install() {
	want=''
	for p in $PACKAGES; do
		if command -v dnf >/dev/null; then
			rpm -q --quiet "$p"
		else
			dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed'
		fi || want="$want $p"
	done
	[ -n "$want" ] || return 0
	say "installs$want"
	export DEBIAN_FRONTEND=noninteractive
	if command -v dnf >/dev/null; then
		with='dnf -y -q --setopt=install_weak_deps=0 install'
	else
		with='apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install'
		timeout -k 5 $patience apt-get -q update </dev/null
	fi
	# shellcheck disable=SC2086 # lists of words
	timeout -k 5 $patience $with $want </dev/null && return 0
	for p in $want; do # a wrong name keeps out all others
		# shellcheck disable=SC2086
		timeout -k 5 $((patience / 3)) $with $p </dev/null || say "cannot install $p"
	done
}

# unit: writes what the run is started as. Its binary is not in /run, which may
# be mounted noexec.
unit() {
	printf 'AWS_REGION="%s"\n%s\n' "$region" "$ENVIRONMENT" >"$run/env" &&
		mkdir -p "$root/run/systemd/system" &&
		cat >"$root/run/systemd/system/mayfly.service" <<END
[Unit]
Description=mayfly $NAME
After=network-online.target
SuccessAction=poweroff
FailureAction=poweroff-force
[Service]
ExecStart=$state/mayfly run --end-instance --config $run/config.yaml
ExecStopPost=-/bin/sh $state/boot ended
EnvironmentFile=$run/env
Environment=HOME=/root
WorkingDirectory=$state
SuccessExitStatus=1 3 4
Restart=no
NotifyAccess=main
WatchdogSec=60
TimeoutAbortSec=10
TimeoutStopSec=45
MemoryMax=85%
StandardOutput=journal+console
StandardError=journal+console
END
}

main() {
	trap 'fail "the boot script stopped before its end"' EXIT
	trap 'exit 1' HUP INT TERM
	command -v curl >/dev/null || fail 'there is no curl: choose an image with it'
	cp "$0" "$state/boot" || fail "write $state/boot: is the disk full?"
	identity || fail "$reason"
	places
	machine=$(uname -m)
	case $machine in
	x86_64) want=$AMD64 arch=amd64 url=$AMD64_URL ;;
	aarch64) want=$ARM64 arch=arm64 url=$ARM64_URL ;;
	*) want='' ;;
	esac
	[ -n "$want" ] || fail "this user data knows no mayfly for $machine: upload one, or choose other instance types"
	get mayfly "$state/mayfly" "$want" "mayfly-$want-linux-$arch" "$url" || fail "$reason"
	get 'the config' "$run/config.yaml" "$CONFIG" "config-$CONFIG.yaml" || fail "$reason"
	chmod 700 "$state/mayfly" || fail "$state/mayfly cannot be made executable"
	install
	for unit in ${MUTE-}; do timeout 10 systemctl stop "$unit"; done # mute.sh has masked them
	unit || fail "write the unit mayfly.service: is the disk full?"
	# A unit that is new needs no reload, which takes seconds on a small machine.
	timeout 20 systemctl start --no-block mayfly.service ||
		{ timeout 20 systemctl daemon-reload && timeout 20 systemctl start --no-block mayfly.service; } ||
		fail 'systemd does not start mayfly.service'
	trap - EXIT
	say "started after $(($(date +%s) - started)) s"
}

case ${1-} in
again) KEEP=0 && fail 'the machine was started a second time: it is there for one run only' ;;
ended) ended ;;
*) main ;;
esac
