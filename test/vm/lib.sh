
# Helpers of the scenarios in virtual machines; they come behind test/scenarios/lib.sh.
# BOOT is the number of this boot. `host …` asks the test program: plug DISK, unplug DISK,
# type TEXT, console, events, monitor COMMAND (test/vm/machine/exec.go).
BOOT=$(host boots)

# attr UNIT FILE: an attribute of the unit's control group, its lines in one line.
attr() {
    local group
    group=$(prop "$1" ControlGroup)
    tr '\n' ' ' <"/sys/fs/cgroup$group/$2" | sed 's/ $//'
}

# expect_attr UNIT FILE WANT
expect_attr() { expect "$3" "$(attr "$1" "$2")" "$1 $2"; }

# expect_console PATTERN: wait until the console matches.
expect_console() {
    local i
    for ((i = 0; i < 300; i++)); do
        # shellcheck disable=SC2053
        if [[ $(host console) == $1 ]]; then return; fi
        sleep 0.1
    done
    fail "console: no '$1' in: $(host console | tail -15)"
}

# boot_done: what must hold after each boot.
boot_done() {
    expect running "$(systemctl is-system-running --wait)" "system state: $(systemctl --failed --plain --no-legend)"
    expect "" "$(systemctl list-jobs --no-legend --plain)" "jobs"
}

# Under emulation, beside other work, everything takes its time: the waiting helpers of lib.sh with a bound of 60 seconds.
wait_for() {
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "timeout: $*"
        sleep 0.2
    done
}
wait_text() { # ABOUT WANT COMMAND…: until the command prints it
    local about=$1 want=$2 end=$((SECONDS + 60))
    shift 2
    until [ "$want" = "$("$@")" ]; do
        [ $SECONDS -lt $end ] || fail "$about: want '$want' within 60 s, got '$("$@")'"
        sleep 0.2
    done
}
active() { systemctl show -P ActiveState -- "$1"; }
wait_state() {
    case $2 in
    */*) wait_text "$1" "$2" state "$1" ;;
    *) wait_text "$1" "$2" active "$1" ;;
    esac
}
wait_prop() { wait_text "$1 $2" "$3" prop "$1" "$2"; }
wait_log() { wait_text log "$1" log; }

# since VERSION: whether the manager has what that release of systemd brought.
since() {
    local version
    version=$(systemctl show -P Version)
    version=${version%%[!0-9]*}
    [ "$version" -ge "$1" ]
}
