timeout 10 systemctl --no-block poweroff
sleep 20
timeout 10 systemctl --no-block --force poweroff
sleep 20
timeout 5 sync
echo o >/proc/sysrq-trigger
sleep 5
timeout 10 systemctl --force --force poweroff
