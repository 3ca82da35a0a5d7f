# Runs on every boot, before the network's services: arms the power-off in a
# process of its own, then nothing that fails later matters.
umask 077
state=$root/var/lib/mayfly
now=$(date +%s)
mkdir -p "$state" 2>/dev/null

# The deadline is kept on disk, so that no reboot extends it. An image made of
# this disk starts as another instance: there it is none.
left=$DEADLINE
if [ -r "$state/deadline" ] && [ "$(cat "$state/instance")" = "${INSTANCE_ID-}" ]; then
	read -r end <"$state/deadline"
	case $end in
	'' | *[!0-9]*) ;;
	*) [ $((end - now)) -ge "$left" ] || left=$((end - now)) ;;
	esac
	[ "$left" -ge 30 ] || left=30
else
	rm -f "$state/boot"
	echo "${INSTANCE_ID-}" >"$state/instance"
	echo $((now + DEADLINE)) >"$state/deadline"
fi

# run UNIT ARGUMENT...: the arguments of systemd-run, not waiting for the bus.
# DefaultDependencies: or the shutdown would stop what hurries it along.
run() {
	unit=$1
	shift
	timeout 10 systemd-run --no-block --unit="$unit" --property=DefaultDependencies=no "$@"
}
arm() {
	run mayfly-deadline --on-active="$left" --timer-property=AccuracySec=1s \
		--timer-property=DefaultDependencies=no /bin/sh -c "$OFF"
}
armed=''
for pause in 1 2 0; do
	! arm || armed=1
	[ -z "$armed" ] || break
	sleep $pause
done
if [ -z "$armed" ]; then
	echo "mayfly: systemd arms no timer: a process waits for the deadline instead" | tee -a "$root/dev/console"
	(trap '' HUP TERM && sleep "$left" && eval "$OFF") </dev/null >/dev/null 2>&1 &
fi

# A boot script that has begun before: the machine was restarted in mid-run.
if [ -s "$state/boot" ]; then
	run mayfly-again /bin/sh "$state/boot" again || sh "$state/boot" again
fi
exit 0
