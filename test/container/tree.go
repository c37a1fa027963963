package main

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/muster-init/muster/test/container/box"
)

// unitRow is one unit as the control program shows it.
type unitRow struct {
	name, state, slice string
	mainPID            int
	memory             int64  // bytes; -1 when nothing runs there
	startedUSec        uint64 // monotonic time of the last start, µs
}

// shown are the properties behind the columns.
const shown = "Id,ActiveState,SubState,Slice,MainPID,ControlGroup,ActiveEnterTimestampMonotonic"

// listUnits asks for the services, scopes and slices, the active sockets and
// timers; targets, mounts and devices are counted by list-units itself.
func listUnits(ctx context.Context, b *box.Box, ctl string) ([]unitRow, error) {
	result, err := b.Exec(ctx, ctl, "show", "--property="+shown, "*.service", "*.scope", "*.slice", "*.socket", "*.timer")
	if err != nil {
		return nil, err
	}
	if result.Code != 0 {
		return nil, fmt.Errorf("%s show: exit status %d: %s", ctl, result.Code, strings.TrimSpace(result.Stderr))
	}
	var rows []unitRow
	for _, block := range strings.Split(result.Stdout, "\n\n") {
		values := map[string]string{}
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			if key, value, ok := strings.Cut(line, "="); ok {
				values[key] = value
			}
		}
		if state := values["ActiveState"]; values["Id"] == "" || state == "inactive" {
			continue
		}
		rows = append(rows, rowOf(b, values))
	}
	return rows, nil
}

func rowOf(b *box.Box, values map[string]string) unitRow {
	row := unitRow{
		name: values["Id"], slice: values["Slice"], memory: -1,
		state: values["ActiveState"] + " (" + values["SubState"] + ")",
	}
	// Missing or unset properties stay zero, which prints as a dash.
	row.mainPID, _ = strconv.Atoi(values["MainPID"])
	row.startedUSec, _ = strconv.ParseUint(values["ActiveEnterTimestampMonotonic"], 10, 64)
	if group := values["ControlGroup"]; group != "" && !strings.HasSuffix(row.name, ".slice") {
		row.memory = b.Memory(group)
	}
	return row
}

// printTree writes the units as a tree of slices with their members.
func printTree(w io.Writer, rows []unitRow) {
	children := map[string][]unitRow{}
	first := ^uint64(0)
	for _, row := range rows {
		if row.name == "-.slice" {
			continue
		}
		parent := row.slice
		if parent == "" {
			parent = "-.slice"
		}
		children[parent] = append(children[parent], row)
		if row.startedUSec > 0 && row.startedUSec < first {
			first = row.startedUSec
		}
	}
	fmt.Fprintf(w, "%-46s %-20s %8s %8s %9s\n", "UNIT", "STATE", "MAIN PID", "MEMORY", "START")
	fmt.Fprintf(w, "%-46s\n", "-.slice")
	printMembers(w, children, "-.slice", "", first, 0)
}

// depthMax ends the walk if a control program tells of a slice in itself.
const depthMax = 16

func printMembers(w io.Writer, children map[string][]unitRow, slice, indent string, first uint64, depth int) {
	members := children[slice]
	sort.Slice(members, func(i, j int) bool { return members[i].name < members[j].name })
	for i, row := range members {
		branch, deeper := "├─ ", "│  "
		if i == len(members)-1 {
			branch, deeper = "└─ ", "   "
		}
		fmt.Fprintf(w, "%s %-20s %8s %8s %9s\n", pad(indent+branch+row.name, 46), row.state,
			dash(row.mainPID > 0, strconv.Itoa(row.mainPID)),
			dash(row.memory >= 0, sizeText(row.memory)),
			dash(row.startedUSec > 0, fmt.Sprintf("+%d ms", (row.startedUSec-first)/1000)))
		if strings.HasSuffix(row.name, ".slice") && depth < depthMax {
			printMembers(w, children, row.name, indent+deeper, first, depth+1)
		}
	}
}

func pad(text string, width int) string {
	if missing := width - len([]rune(text)); missing > 0 {
		return text + strings.Repeat(" ", missing)
	}
	return text
}

func dash(known bool, text string) string {
	if known {
		return text
	}
	return "-"
}

func sizeText(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%.1fK", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1fM", float64(bytes)/(1<<20))
}
