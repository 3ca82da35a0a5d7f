# Runs on every boot, after the power-off is armed: no SSH server of the
# machine's own. One at a time, since one name may be another's alias, which is
# refused; and reloading once takes long enough.
for unit in $MUTE; do timeout 10 systemctl --no-reload mask "$unit"; done
timeout 30 systemctl daemon-reload
for unit in $MUTE; do timeout 10 systemctl --no-block stop "$unit"; done
exit 0
