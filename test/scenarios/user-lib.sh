# Sourced by the scenarios user-*: somebody with a user manager.
useradd -m -u 1000 -s /bin/bash ana
U=~ana/.config/systemd/user
mkdir -p "$U"
chown -R ana: ~ana/.config
# u COMMAND…: as ana, as if in a session of hers.
u() { setpriv --reuid 1000 --regid 1000 --clear-groups env -i HOME=/home/ana USER=ana PATH="$PATH" XDG_RUNTIME_DIR=/run/user/1000 "$@"; }
uctl() { u systemctl --user "$@"; }
uprop() { uctl show -P "$2" -- "$1"; }
GROUP=/user.slice/user-1000.slice/user@1000.service
R=/run/user/1000
