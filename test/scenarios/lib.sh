# Helpers of the scenario scripts; test/scenarios/run-one sources this file.
# LOG is a file the units may append to, DIR a directory that lives as long as
# the scenario, UNITS the directory its unit files are in.
LOG=/run/scenario/log
DIR=/run/scenario
UNITS=/etc/systemd/system
# How often something is looked at that is to happen, every 25 ms.
PATIENCE=1200

set -E
trap 'printf "FAIL %s: exit status %s: %s\n" "$(caller_line)" "$?" "$BASH_COMMAND" >&2' ERR

# fail MESSAGE: end the scenario.
fail() {
    trap - ERR
    printf 'FAIL %s: %s\n' "$(caller_line)" "$*" >&2
    exit 1
}

caller_line() {
    local i
    for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
        case ${BASH_SOURCE[i]} in
        */script) printf 'script:%s' "${BASH_LINENO[i - 1]}"; return ;;
        esac
    done
    printf 'script'
}

# expect WANT GOT [ABOUT]: two strings must be equal.
expect() {
    [ "$1" = "$2" ] || fail "${3:+$3: }want '$1', got '$2'"
}

# expect_match PATTERN GOT [ABOUT]: the string must match a shell pattern.
expect_match() {
    # shellcheck disable=SC2053
    [[ $2 == $1 ]] || fail "${3:+$3: }want pattern '$1', got '$2'"
}

# expect_rc STATUS COMMAND…: the command must end with that status. Its output
# is kept in $OUT.
expect_rc() {
    local want=$1 got=0
    shift
    OUT=$("$@" 2>&1) || got=$?
    [ "$want" = "$got" ] || fail "$*: want exit status $want, got $got: $OUT"
}

# prop UNIT PROPERTY: one property as systemctl shows it.
prop() { systemctl show -P "$2" -- "$1"; }

# expect_prop UNIT PROPERTY=WANT…: properties must have these values.
expect_prop() {
    local unit=$1 pair got
    shift
    for pair; do
        got=$(prop "$unit" "${pair%%=*}")
        [ "$got" = "${pair#*=}" ] || fail "$unit ${pair%%=*}: want '${pair#*=}', got '$got'"
    done
}

# state UNIT: active and sub state, as active/running.
state() {
    local text
    text=$(systemctl show --property=ActiveState --property=SubState -- "$1")
    text=${text#*=}
    printf '%s/%s' "${text%%$'\n'*}" "${text##*=}"
}

# expect_state UNIT WANT: the state as active/running, or active only.
expect_state() {
    local got
    got=$(state "$1")
    case $2 in
    */*) ;;
    *) got=${got%%/*} ;;
    esac
    [ "$2" = "$got" ] || fail "$1: want state $2, got $got"
}

# wait_for COMMAND…: until it succeeds, for 30 seconds, and longer on a machine on which the command takes its time.
wait_for() {
    local i
    for ((i = 0; i < PATIENCE; i++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.025
    done
    fail "timeout: $*"
}

# wait_output WANT COMMAND [ARG…]: until its output is WANT. Not for `wait_for test "$(…)"`, which looks once.
wait_output() {
    local i got want=$1
    shift
    for ((i = 0; i < PATIENCE; i++)); do
        got=$("$@" 2>/dev/null || true)
        [ "$got" != "$want" ] || return 0
        sleep 0.025
    done
    fail "timeout: $*: want '$want', got '$got'"
}

# wait_state UNIT WANT: until the unit is in the state, as for expect_state.
wait_state() {
    local i got
    for ((i = 0; i < PATIENCE; i++)); do
        got=$(state "$1")
        case $2 in
        */*) ;;
        *) got=${got%%/*} ;;
        esac
        if [ "$2" = "$got" ]; then return; fi
        sleep 0.025
    done
    fail "$1: want state $2 in time, got $(state "$1")"
}

# wait_prop UNIT PROPERTY WANT
wait_prop() {
    local i got
    for ((i = 0; i < PATIENCE; i++)); do
        got=$(prop "$1" "$2")
        if [ "$3" = "$got" ]; then return; fi
        sleep 0.025
    done
    fail "$1 $2: want '$3' in time, got '$got'"
}

# log: the lines of LOG in one line, separated by single spaces.
log() { [ ! -e "$LOG" ] || tr '\n' ' ' <"$LOG" | sed 's/ $//'; }

# expect_log WANT [ABOUT] / wait_log WANT: what the units logged so far, in order.
expect_log() { expect "$1" "$(log)" "${2:-log}"; }
wait_log() {
    local i
    for ((i = 0; i < PATIENCE; i++)); do
        if [ "$1" = "$(log)" ]; then return; fi
        sleep 0.025
    done
    fail "log: want '$1' in time, got '$(log)'"
}
clear_log() { rm -f "$LOG"; }

# value FILE KEY: of a file written by the payload's state step.
value() { sed -n "s/^$2=//p" "$1"; }

# unit NAME <<TEXT: write a unit file; follow with reload.
unit() {
    mkdir -p "$(dirname "$UNITS/$1")"
    cat >"$UNITS/$1"
}
reload() { systemctl daemon-reload; }

# svc NAME LINE…: write NAME.service from lines of [Service]; those that start
# with "Unit:" go to [Unit]. Follow with reload.
svc() {
    local name=$1 line
    shift
    {
        echo "[Unit]"
        for line; do case $line in Unit:*) echo "${line#Unit:}" ;; esac; done
        echo "[Service]"
        for line; do case $line in Unit:*) ;; *) echo "$line" ;; esac; done
    } >"$UNITS/$name.service"
}

# journal ARGUMENT…: the messages since the scenario began, text only.
journal() {
    journalctl --sync
    journalctl --quiet --after-cursor="$(cat /run/scenario-cursor)" -o cat "$@"
}

# expect_journal PATTERN [ARGUMENT…]: wait for messages that match.
expect_journal() {
    local i pattern=$1
    shift
    for ((i = 0; i < 40; i++)); do
        # shellcheck disable=SC2053
        if [[ $(journal "$@") == $pattern ]]; then return; fi
        sleep 0.1
    done
    fail "journal $*: no '$pattern' in: $(journal "$@" | tail -20)"
}

# pin UNIT…: keep units loaded that are inactive, so that their last result can
# still be read: an active unit that wants them, without starting them.
pin() {
    printf '[Unit]\nWants=%s\nCollectMode=inactive-or-failed\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n' "$*" >"$UNITS/pin.service"
    systemctl daemon-reload
    systemctl start --job-mode=ignore-dependencies pin.service
}

# loop_devices: nodes for loop devices where nobody makes them. no_loop FILE: no loop device is left for a file.
loop_devices() {
    local i
    [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
    for ((i = 0; i < 16; i++)); do [ -e /dev/loop$i ] || mknod /dev/loop$i b 7 $i; done
}
no_loop() { [ -z "$(losetup -n -O NAME -j "$1")" ]; }

# make_image FILE DIR [MB]: an image with an ext4 file system that holds what is in DIR.
make_image() {
    truncate -s "${3:-8}M" "$1"
    busybox mke2fs -F "$1" >/dev/null
    # That is ext2; one feature of ext4 makes it the file system that images may have.
    printf '\x42' | dd of="$1" bs=1 seek=1120 conv=notrunc status=none
    mkdir -p "$1.mnt"
    mount -o loop -t ext4 "$1" "$1.mnt"
    cp -a "$2/." "$1.mnt/"
    umount "$1.mnt"
    rmdir "$1.mnt"
}

# readonly_image TYPE FILE: an image with a compressed squashfs or erofs, as mksquashfs (zstd) and mkfs.erofs (lz4hc) made it of one tree: /etc/who is
# MARKER, os-release ID=inside, /usr/share/scen/long 100000 bytes, /opt/scen, directories to mount on, an empty bin/busybox to bind the program
# to, and an extension-release file for an image of the name "image".
readonly_image() {
    case $1 in
    squashfs) base64 -di <<<"H4sIAAAAAAACA8soLiwWZwCCj8GpDAxMDIxAJhuDIMMBJkYGFiD7ABMDGFyF0meh9H8omAfhMqQxQug8qPx+KK2xVf/vgn1tjAxTGRlKmHwdg7xdg7iKk1PzuDxdbOMT8yoz84ozU1K5DAyNjE1Mzc
        wtLBOTkpkYFHjT1WbvTTwG1p/wgPEpK0MTh4ziBF/2/tUh9/9lB13/qNsuMcWsdDKLrNRvWdu3+bp/1r7VDf6/sO/e3+07FtvveL60unqe1Y9HK/87rOWfP/3pA+PLc77XZ73aHv9/pem/+KNy1a0C
        /7OLJFjLvB5En3cy8DjwQWF+0J/6X/bVNfv/XDH69LeWTX+FwpKABwZsDsbnmBU5mhJYXBSUnDK0rtxn9Gi48bxq+cZWe6Ud1f5ZS/h/hc1p5923PiMnjOv3belDLY+D7T85mNadebyBgTtqOu8XiD
        8WMISyM1ybbKRU4B/F/Kc+PDQutHJmw7UA7rZLR441vFqQeMQ28MxZ9b1bdYP1GJSBMHTZo5seq9YElWrpJMXOPrPKYcmr5N8a8VtWeYtt+FtyyNv41rZgPY9dOkt1UiwzmBvNLyhM802vln/Vufu2
        cdqa1cIbaleap4Uf3naX83DF/Jdd/1nXK7xiWrVN/ILKKoPbt/3W9KZWt//5197PvmWv9NO+/1yrMzYxyryRYt3TV3ZIa9HbXBPhaa3bxC+q8Zuf9Lr5TYovqXXDW907p1trmeIOibwozmXk4RBgm7
        yXXdCEY0O3JvOHVTs48/1aDzLpbf8xjz1HoCEBmjrsoHQMNFW4g8NDYcdXRgYjV06+B5m8F1i5xXQkom5OMWLdP+ei/lf3H6clrsp/5/6R/E/ilre2BSOfxgdegZzqu0de7z3DJ3Ajb5ZbtG6rWRnU
        QJYGEHkcygMAGw8ALNUCAAA=" ;;
    erofs) base64 -di <<<"H4sIAAAAAAACA+2YT2sTQRjGd/OvcW1jbG2reMmhKmiNbWoTqzW0JTZKUMpKwUMgbJKhCaa7YTdpm1u8iB9CsYiC4EEQBEHw4MmPEb178OA5ziazybO6SZZeBJ0Hwv42b5533nl3ZgciCFxcXP+rvn
        392Vrxl2Qv5XFhTpi1Aj/uEws9g+2i0xfttvvxffTzfX1C+Mzu2227e45dn9IqLH5GeZ7xc8oLjF9QjjF+RTnB+DXlVcZvKCcZv6W8xvgd5Q3G7ymnGH+gnGX8kbLC+BPlaDSaL6tFskdqBa1aq+pa
        Qa+rRsOo7Vbrhr6n6Pua/tDN/GkumD82db7Xh/78z1G+wvgC7bhZR91o5LUD5zFePrI/Jo/D+GdhfC/Erd6ehvHPdOdu818Evw/8sQH1L9vr3y9pg/tj1j8G+f0Qv7suZ27J0sj+XgJ/AOKJAfVdt9
        dnFIg6tD4/5B+DuGmUXDx/7H8Q4qsu+4/+Y+BPHsGP9a4dwX8c/Buu/D7hBvjHwZ/qrcO+f5FymvESZZlxvJu3Us4bJUUnkN8rbEH+CcifhvwpyJ+B/JZ3s7sWyEGNqEZZUy/rpEIUg0SLmmHxoOeb
        hPFDEM/A+kvD+rtnX39/jlneVXZIf/0FIf8JyH8ndTOnqA1p2Poz/RL4w3Z/mQ5cJNKw9eu17a+TEJdhfimY33Zvfp6R++v3/TsJ8W3IL0P+B/b+VTR1xzF/gM3/8LHYO7+mnA658Gyk8+6MTEfMe1
        9kqnMNtMQnwvmm1PJ8EeLNUMsbFDebky3fbTHUNOMzEbHzu8OAw2EJ/cP35ymIZwe8n3L2/tETx/37ZRriOdifWZf7ewb8yoj9zcXFxcXFxcXFxcXFxcXFxcX1D6stLizGlq4uxxPXVpR8oUikcOcP
        JK6/L2Gr80B+AVYPPgMAIAAA" ;;
    esac | gzip -d >"$2"
    truncate -s '%4096' "$2" # mksquashfs does it too
}

# cgroup_pids GROUP: the processes in a cgroup, sorted, in one line.
cgroup_pids() { sort -n "/sys/fs/cgroup$1/cgroup.procs" | tr '\n' ' ' | sed 's/ $//'; }

# alive PID / gone PID
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:	Z' "/proc/$1/status"; }
gone() { ! alive "$1"; }

# same TOOL ARGUMENT…: musterctl called by the name of a systemd tool must do what that tool does: exit status and both outputs. How long ago
# something was, and what differs between two calls anyway, doesn't count. Input comes from $DIR/input if that is there.
same() {
    local tool=$1 want=0 got=0 file input=/dev/null
    shift
    [ ! -e "$DIR/input" ] || input=$DIR/input
    "$tool" "$@" >"$DIR/want.out" 2>"$DIR/want.err" <"$input" || want=$?
    (exec -a "$tool" musterctl "$@") >"$DIR/got.out" 2>"$DIR/got.err" <"$input" || got=$?
    # Mostly nothing has to be evened out first.
    if [ "$want" = "$got" ] && cmp -s "$DIR/want.out" "$DIR/got.out" && cmp -s "$DIR/want.err" "$DIR/got.err"; then return; fi
    for file in want.out want.err got.out got.err; do
        sed -i -E 's/; [^;]*(ago|left)$//; s/(run-p)[0-9]+-i[0-9]+/\1N/g; s/; invocation ID: [0-9a-f]{32}//; s/^( +CPU: |Service runtime: |CPU time consumed: ).*/\1/; s/PID [0-9]+ does/PID N does/; s/(CPUUsageNSec|MemoryAvailable|EffectiveMemory(Max|High)|DelegateNamespaces)=.*/\1/' \
            "$DIR/$file"
        # Dependencies come in no order.
        awk 'match($0, /^(After|Before|Wants|WantedBy|Requires|RequiredBy|Conflicts|ConflictedBy|RequiresMountsFor|Names)=/) {
            n = split(substr($0, RLENGTH + 1), word, " "); printf "%s", substr($0, 1, RLENGTH)
            for (i = 1; i <= n; i++) { least = ""; for (j in word) if (least == "" || word[j] < word[least]) least = j; printf "%s ", word[least]; delete word[least] }
            print ""; next } { print }' "$DIR/$file" >"$DIR/sorted" && mv "$DIR/sorted" "$DIR/$file"
    done
    [ "$want" = "$got" ] || fail "$tool $*: exit status $got instead of $want: $(cat "$DIR/got.err")"
    diff "$DIR/want.out" "$DIR/got.out" >"$DIR/diff" || fail "$tool $*: output differs (< $tool, > musterctl): $(cat "$DIR/diff")"
    diff "$DIR/want.err" "$DIR/got.err" >"$DIR/diff" || fail "$tool $*: messages differ (< $tool, > musterctl): $(cat "$DIR/diff")"
}
