
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
    for ((i = 0; i < 100; i++)); do
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
