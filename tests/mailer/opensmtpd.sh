#!/bin/sh
# An OpenSMTPD of one's own for a test: on 127.0.0.1. It delivers ada@mail.test into a Maildir, greylists
# later@mail.test, and knows nobody else. It has no PIPELINING; and no TLS here, because Debian 12's (6.8.0) cannot use
# its private key with OpenSSL 3 (OpenSMTPD/OpenSMTPD#1171), and without TLS it has no AUTH.
#
#     opensmtpd.sh start FOLDER PORT      needs root, and OpenSMTPD unpacked by script/bootstrap --test
#     opensmtpd.sh stop FOLDER
set -eu
name=opensmtpd program=usr/sbin/smtpd users='opensmtpd:64998 opensmtpq:64999'
. "$(dirname "$0")/unpacked_server.sh"

cat > smtpd.conf << END
table boxes { "ada@mail.test" = "nobody" }
table later { "later@mail.test" }
filter "greylist" phase rcpt-to match rcpt-to <later> reject "450 4.2.0 greylisted, try again later"
listen on 127.0.0.1 port $port hostname mail.test filter "greylist"
action "box" maildir "$folder/boxes/%{dest.user}" virtual <boxes>
match from any for domain "mail.test" action "box"
END
chmod 600 smtpd.conf
# Its spool and its helpers are where it looks for them, in this process's view too.
in_its_view sh -c '
    set -e
    for place in /var/spool /var/lib /run /usr/libexec; do mount -t tmpfs -o mode=755 none $place; done
    mkdir -p /var/lib/opensmtpd/empty
    mkdir -m 711 /var/spool/smtpd
    cp -r "$1/usr/libexec/opensmtpd" /usr/libexec/
    exec "$1/usr/sbin/smtpd" -d -f smtpd.conf' - "$unpacked" > mail.log 2>&1 < /dev/null &
echo $! > pid
