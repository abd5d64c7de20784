#!/bin/sh
# A Postfix of one's own for a test: on 127.0.0.1, with STARTTLS, AUTH and a throw-away certificate, delivering
# ada@mail.test and Оксана@mail.test into Maildirs.
#
#     postfix.sh start FOLDER PORT      needs root, postfix, sasl2-bin and openssl; says what is missing
#     postfix.sh stop FOLDER
#
# FOLDER gets all of it: settings, queue, log, boxes/. The certificate to trust is FOLDER/cert.pem; the user is
# zgoda, the password open-sesame.
set -eu
action=$1 folder=$2
PATH=$PATH:/usr/sbin:/sbin

if [ "$action" = stop ]; then
    exec postfix -c "$folder/etc" stop
fi

port=$3
[ "$(id -u)" = 0 ] || { echo "Postfix needs root to start"; exit 1; }
for program in postfix postmap saslpasswd2 openssl; do
    command -v "$program" > /dev/null || { echo "$program is not installed"; exit 1; }
done

mkdir -p "$folder/etc/sasl" "$folder/queue" "$folder/data" "$folder/boxes"
chmod 755 "$folder" "$folder/etc" "$folder/etc/sasl"
chown postfix "$folder/data"
chown nobody "$folder/boxes"
cd "$folder"

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout key.pem -out cert.pem 2> /dev/null
echo open-sesame | saslpasswd2 -p -c -f "$folder/sasldb" -u mail.test zgoda
chown postfix "$folder/sasldb"
cat > etc/sasl/smtpd.conf << END
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: $folder/sasldb
mech_list: PLAIN LOGIN
END
cat > etc/main.cf << END
compatibility_level = 3.6
queue_directory = $folder/queue
data_directory = $folder/data
maillog_file = $folder/mail.log
maillog_file_prefixes = $folder
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.test
mydestination =
mynetworks =
local_recipient_maps =
alias_maps =
virtual_mailbox_domains = mail.test
virtual_mailbox_base = $folder/boxes
virtual_mailbox_maps = texthash:$folder/etc/boxes
virtual_minimum_uid = 1
virtual_uid_maps = static:$(id -u nobody)
virtual_gid_maps = static:$(id -g nobody)
smtpd_tls_cert_file = $folder/cert.pem
smtpd_tls_key_file = $folder/key.pem
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = mail.test
cyrus_sasl_config_path = $folder/etc/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtputf8_enable = yes
END
# Postfix looks up the lower-cased address.
printf 'ada@mail.test ada/\nоксана@mail.test oksana/\n' > etc/boxes
cat > etc/master.cf << END
127.0.0.1:$port inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
proxymap unix - - n - - proxymap
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
tlsmgr unix - - n 1000? 1 tlsmgr
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
postlog unix-dgram n - n - 1 postlogd
END
postfix -c "$folder/etc" start
