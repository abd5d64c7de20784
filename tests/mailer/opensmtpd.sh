#!/bin/sh
# An OpenSMTPD of one's own for a test: on 127.0.0.1. It delivers ada@mail.test into a Maildir, and knows nobody
# else. It has no PIPELINING; and no TLS here, because that of Debian 12's ended each handshake with an internal error,
# with an RSA key and with an EC one (why was not found out), and without TLS it has no AUTH.
#
#     opensmtpd.sh start FOLDER PORT      needs root, and OpenSMTPD unpacked by script/bootstrap --test
#     opensmtpd.sh stop FOLDER
#
# As postfix.sh: FOLDER gets all of it, boxes/ too.
set -eu
action=$1 folder=$2
if [ "$action" = stop ]; then
    kill "$(cat "$folder/pid")"
    exit
fi
port=$3
unpacked=$(cd "$(dirname "$0")/../.." && pwd)/build/servers/opensmtpd
[ "$(id -u)" = 0 ] || { echo "OpenSMTPD needs root to start"; exit 1; }
[ -x "$unpacked/usr/sbin/smtpd" ] || { echo "OpenSMTPD is not unpacked in build/servers (script/bootstrap --test)"; exit 1; }

mkdir -p "$folder/boxes"
chmod 755 "$folder"
cd "$folder"
chown nobody boxes
cat > smtpd.conf << END
table boxes { "ada@mail.test" = "nobody" }
listen on 127.0.0.1 port $port hostname mail.test
action "box" maildir "$folder/boxes/%{dest.user}" virtual <boxes>
match from any for domain "mail.test" action "box"
END
chmod 600 smtpd.conf
# Its users, its spool and its helpers are where it looks for them in this process's view only.
grep -v '^opensmtp' /etc/passwd > passwd
grep -v '^opensmtp' /etc/group > group
for user in opensmtpd:64998 opensmtpq:64999; do
    echo "${user%:*}:x:${user#*:}:${user#*:}::/nonexistent:/usr/sbin/nologin" >> passwd
    echo "${user%:*}:x:${user#*:}:" >> group
done
unshare -m sh -c '
    set -e
    mount --bind passwd /etc/passwd
    mount --bind group /etc/group
    for place in /var/spool /var/lib /run /usr/libexec; do mount -t tmpfs -o mode=755 none $place; done
    mkdir -p /var/lib/opensmtpd/empty
    mkdir -m 711 /var/spool/smtpd
    cp -r "$1/usr/libexec/opensmtpd" /usr/libexec/
    exec "$1/usr/sbin/smtpd" -d -f "$2/smtpd.conf"' - "$unpacked" "$folder" > mail.log 2>&1 < /dev/null &
echo $! > pid
