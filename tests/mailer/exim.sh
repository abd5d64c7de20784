#!/bin/sh
# An Exim of one's own for a test: on 127.0.0.1, with STARTTLS, AUTH and a throw-away certificate. It delivers
# ada@mail.test into a Maildir, greylists later@mail.test, and knows nobody else.
#
#     exim.sh start FOLDER PORT      needs root, openssl, and Exim unpacked by script/bootstrap --test
#     exim.sh stop FOLDER
#
# The certificate to trust is FOLDER/cert.pem; the user is zgoda, the password open-sesame.
set -eu
name=exim program=usr/sbin/exim4 users=Debian-exim:65534
. "$(dirname "$0")/unpacked_server.sh"

mkdir -p spool
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout key.pem -out cert.pem 2> /dev/null
chown nobody . spool key.pem
cat > exim.conf << END
exim_path = $unpacked/$program
exim_user = nobody
exim_group = nogroup
never_users =
keep_environment =
rfc1413_query_timeout = 0s
primary_hostname = mail.test
spool_directory = $folder/spool
log_file_path = $folder/%slog
pid_file_path = $folder/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = $port
domainlist local_domains = mail.test
smtputf8_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = $folder/cert.pem
tls_privatekey = $folder/key.pem
auth_advertise_hosts = \${if eq{\$tls_in_cipher}{}{}{*}}
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny
    message = 550 5.7.0 authenticate first
    !authenticated = *
  defer
    message = 450 4.2.0 greylisted, try again later
    local_parts = later
  deny
    message = 550 5.1.1 unknown user
    !local_parts = ada
  accept
begin routers
boxes:
  driver = accept
  domains = +local_domains
  transport = boxes
begin transports
boxes:
  driver = appendfile
  directory = $folder/boxes/ada
  maildir_format
  user = nobody
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = \${if and{{eq{\$auth2}{zgoda}}{eq{\$auth3}{open-sesame}}}}
  server_set_id = \$auth2
END
chmod 644 exim.conf
in_its_view "$unpacked/$program" -C "$folder/exim.conf" -bd -q1m
