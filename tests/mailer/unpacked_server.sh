# What exim.sh and opensmtpd.sh share, which set `name` (in build/servers), `program` (in there) and `users` (those that it
# wants to be, each with an id). As with postfix.sh, FOLDER gets all of it, boxes/ too. Goes on only to start, in FOLDER.
action=$1 folder=$2 port=${3-}
unpacked=$(cd "$(dirname "$0")/../.." && pwd)/build/servers/$name
if [ "$action" = stop ]; then
    kill "$(cat "$folder/pid")"
    exit
fi
[ "$(id -u)" = 0 ] || { echo "$name needs root to start"; exit 1; }
[ -x "$unpacked/$program" ] || { echo "$name is not unpacked in build/servers (script/bootstrap --test)"; exit 1; }
mkdir -p "$folder/boxes"
chmod 755 "$folder"
cd "$folder"
chown nobody boxes

# Debian's look for their own users even where they are told others: they find them in this process's view only.
cp /etc/passwd /etc/group .
for user in $users; do
    sed -i "/^${user%:*}:/d" passwd group
    echo "${user%:*}:x:${user#*:}:${user#*:}::/nonexistent:/usr/sbin/nologin" >> passwd
    echo "${user%:*}:x:${user#*:}:" >> group
done
in_its_view() {  # becomes the program
    exec unshare -m sh -c 'mount --bind passwd /etc/passwd && mount --bind group /etc/group && exec "$@"' - "$@"
}
