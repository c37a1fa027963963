package ctl

import (
	"strings"
)

// column describes one column of a table.
type column struct {
	title   string
	json    string // name in JSON; "" is the title in lower case
	right   bool   // numbers stand at the right edge
	percent int    // where long cells are cut, see ellipsize; 0 means 100
	hidden  bool   // not in the text form
	weight  int    // share of the room when there is too little; 0 means 100
	minimum int    // never cut below this
}

// cell is one value.
type cell struct {
	text  string
	json  any // what JSON has instead of the text; jsonNone leaves it out
	both  color
	right bool
	gap   color  // of the space behind the cell
	empty string // what the text form shows for an empty text
}

// table is rows under columns, shown as text or as JSON.
type table struct {
	columns   []column
	rows      [][]cell
	lines     map[int]bool // rows with a line under them
	lineColor color
}

// tableStyle is how a table is printed.
type tableStyle struct {
	header bool
	full   bool   // don't cut to the terminal's width
	indent int    // spaces in front of each row
	json   string // "", json, json-pretty
	// headerColor replaces the underline of the header.
	pager bool
}

type jsonAbsent struct{}

// jsonNull is shown as null.
type jsonNull struct{}

func newTable(titles ...string) *table {
	t := &table{lines: map[int]bool{}, lineColor: colorGreyLine}
	for _, title := range titles {
		t.columns = append(t.columns, column{title: title})
	}
	return t
}

func textCell(s string) cell { return cell{text: s} }

func colorCell(s string, c color) cell { return cell{text: s, both: c} }

// gapCell has its colour also in the space behind it.
func gapCell(s string, c color) cell { return cell{text: s, both: c, gap: c} }

func (t *table) row(cells ...cell) { t.rows = append(t.rows, cells) }

// underlineLast puts a line under the newest row.
func (t *table) underlineLast() {
	if len(t.rows) > 0 {
		t.lines[len(t.rows)-1] = true
	}
}

// print writes the table in the form asked for.
func (t *table) print(e *Env, style tableStyle) {
	if strings.HasPrefix(style.json, "json") {
		t.printJSON(e, style.json == "json-pretty")
		return
	}
	widths := t.widths(e, style)
	if style.header {
		head := make([]cell, len(t.columns))
		for i, c := range t.columns {
			head[i] = cell{text: c.title, right: c.right}
		}
		t.printRow(e, style, widths, head, colorUnderline)
	}
	for i, row := range t.rows {
		line := colorNone
		if t.lines[i] {
			line = t.lineColor
		}
		t.printRow(e, style, widths, row, line)
	}
}

// natural gives the width that each column wants.
func (t *table) natural(header bool) []int {
	want := make([]int, len(t.columns))
	for i, c := range t.columns {
		if header {
			want[i] = textWidth(c.title)
		}
		want[i] = max(want[i], c.minimum)
	}
	for _, row := range t.rows {
		for i := range row {
			want[i] = max(want[i], textWidth(row[i].shown()))
		}
	}
	return want
}

func (c *cell) shown() string {
	if c.text == "" {
		return c.empty
	}
	return c.text
}

// widths shares the terminal's width among the columns: each gets what it wants where that is no more than its share, the rest is divided among the
// others by weight.
func (t *table) widths(e *Env, style tableStyle) []int {
	want := t.natural(style.header)
	if style.full || !e.OutTerminal || e.pager != nil {
		return want
	}
	room, total := e.Columns-style.indent, 0
	visible := -1
	for i, c := range t.columns {
		if !c.hidden {
			total += want[i]
			visible++
		}
	}
	room -= max(visible, 0)
	if total <= room {
		return want
	}
	return t.compress(want, room)
}

func (t *table) compress(want []int, room int) []int {
	got := make([]int, len(want))
	settled := make([]bool, len(want))
	weights := 0
	for i, c := range t.columns {
		if c.hidden {
			settled[i] = true
			continue
		}
		got[i] = min(max(1, c.minimum), want[i])
		room -= got[i]
		weights += c.weightOr()
	}
	room = max(room, 0)
	for again := true; again; {
		again = false
		for i, c := range t.columns {
			if settled[i] {
				continue
			}
			if share := room * c.weightOr() / weights; got[i]+share >= want[i] {
				room -= want[i] - got[i]
				got[i], settled[i], again = want[i], true, true
				weights -= c.weightOr()
			}
		}
	}
	for i, c := range t.columns {
		if !settled[i] {
			share := room * c.weightOr() / weights
			got[i] += share
			room -= share
			weights -= c.weightOr()
		}
	}
	return got
}

func (c *column) weightOr() int {
	if c.weight == 0 {
		return 100
	}
	return c.weight
}

// printRow writes one row; line is the underline it has, on a terminal with colours.
func (t *table) printRow(e *Env, style tableStyle, widths []int, row []cell, line color) {
	colors := e.colors()
	if !colors {
		line = colorNone
	}
	line = e.palette(line)
	last := -1
	for i := range t.columns {
		if !t.columns[i].hidden && i < len(row) {
			last = i
		}
	}
	var b strings.Builder
	b.WriteString(spaces(style.indent))
	first, gap := true, colorNone
	for i := range row {
		col := t.columns[i]
		if col.hidden {
			continue
		}
		if !first {
			b.WriteString(wrap(joinColors(gap, line), " "))
		}
		first, gap = false, colorNone
		c := row[i]
		if _, null := c.json.(jsonNull); null && c.text == "" {
			c.both = colorGrey
		}
		percent := 100
		if col.percent != 0 {
			percent = col.percent
		}
		text := validText(c.shown())
		if textWidth(text) > widths[i] {
			text = ellipsize(text, widths[i], percent)
		}
		pad := spaces(widths[i] - textWidth(text))
		attributes := line
		if c.both != colorNone && colors {
			attributes = joinColors(e.palette(c.both), line)
		}
		if colors {
			gap = e.palette(c.gap)
		}
		switch {
		case c.right || col.right:
			text = pad + text
		case i != last || attributes != colorNone:
			text += pad
		}
		b.WriteString(wrap(attributes, text))
	}
	text := b.String()
	if line == colorNone {
		text = strings.TrimRight(text, " ")
	}
	e.printf("%s\n", text)
}

func wrap(c color, text string) string {
	if c == colorNone || text == "" {
		return text
	}
	return string(c) + text + colorReset
}

// printJSON writes an array with one object for each row.
func (t *table) printJSON(e *Env, pretty bool) {
	list := make([]any, 0, len(t.rows))
	for _, row := range t.rows {
		var object jsonObject
		for i := range row {
			v := row[i].json
			switch v.(type) {
			case jsonAbsent:
				continue
			case nil:
				v = row[i].text
			}
			object = append(object, jsonField{t.columns[i].jsonName(), v})
		}
		list = append(list, object)
	}
	e.printf("%s\n", formatJSON(list, pretty))
}

func (c *column) jsonName() string {
	if c.json != "" {
		return c.json
	}
	return strings.ReplaceAll(strings.ToLower(c.title), " ", "_")
}

// joinColors gives a colour and an underline as one.
func joinColors(c, line color) color {
	switch {
	case line == colorNone:
		return c
	case c == colorNone:
		return line
	case line == colorLine:
		return color("\x1b[0;4;" + strings.TrimPrefix(string(c), "\x1b[0;"))
	}
	return c + line
}
