package value

import (
	"slices"
	"testing"
)

func TestExpandEnv(t *testing.T) {
	env := map[string]string{"ONE": "one", "TWO": "two two", "QUOTED": `'a b' c "d`, "EMPTY": "", "ESCAPE": `x\ y\"z`}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, test := range []struct {
		argv, want, unset, bad []string
	}{
		{argv: []string{"$ONE", "$TWO", "${TWO}"}, want: []string{"one", "two", "two", "two two"}},
		{argv: []string{"pre$ONE", "pre${ONE}post", "${ONE}${TWO}"}, want: []string{"pre$ONE", "preonepost", "onetwo two"}},
		{argv: []string{"$NONE", "${NONE}", "a${NONE}b"}, want: []string{"", "ab"}, unset: []string{"NONE"}},
		{argv: []string{"$EMPTY", "${EMPTY}"}, want: []string{""}},
		{argv: []string{"$$ONE", "$$", "a$$b", "$${ONE}", "$$$$"}, want: []string{"$ONE", "$", "a$b", "${ONE}", "$$"}},
		{argv: []string{"$QUOTED", "${QUOTED}"}, want: []string{"a b", "c", "d", `'a b' c "d`}},
		{argv: []string{"$ESCAPE"}, want: []string{`x y"z`}},
		{argv: []string{"$ONE/x", "${ONE-x}", "${ONE", "$"}, want: []string{"", "${ONE"}, bad: []string{"ONE/x", "ONE-x", ""}},
		{argv: []string{"a$", "$1", "${}"}, want: []string{"a$", ""}, bad: []string{"1", ""}},
		{argv: []string{"", "plain"}, want: []string{"", "plain"}},
		{argv: nil},
	} {
		got, unset, bad := ExpandEnv(test.argv, lookup)
		if !slices.Equal(got, test.want) || !slices.Equal(unset, test.unset) || !slices.Equal(bad, test.bad) {
			t.Errorf("%q: %q unset %q bad %q, want %q %q %q", test.argv, got, unset, bad, test.want, test.unset, test.bad)
		}
	}
	if got := ExpandEnvString("x${TWO}$ONE", lookup); got != "xtwo two$ONE" {
		t.Errorf("string: %q", got)
	}
}

func TestMergeEnvironment(t *testing.T) {
	base := []string{"A=1", "B=2", "A=6"}
	got := MergeEnvironment(base, []string{"B=3", "C=4", "C=5", "A", "=x"})
	if want := []string{"A=6", "B=3", "C=5"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if base[1] != "B=2" {
		t.Error("the block that was merged into has changed")
	}
}
