package runner

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every field of the files that programs read is described.
func TestReportIsDocumented(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../docs/report.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := jsonFields(reflect.TypeFor[Report](), map[string]bool{})
	for f := range jsonFields(reflect.TypeFor[Started](), map[string]bool{}) {
		fields[f] = true
	}
	if len(fields) < 30 {
		t.Fatalf("only %d fields found", len(fields))
	}
	for f := range fields {
		if !strings.Contains(string(b), "`"+f+"`") {
			t.Errorf("docs/report.md does not describe %s", f)
		}
		// What a number is in stands in its line.
		unit := ""
		switch {
		case strings.HasSuffix(f, "_bytes"):
			unit = "bytes"
		case strings.HasSuffix(f, "_usd"):
			unit = "US dollars"
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "| ") && strings.Contains(line, "`"+f+"`") && !strings.Contains(strings.ReplaceAll(line, f, ""), unit) {
				t.Errorf("docs/report.md does not say that %s is in %s", f, unit)
			}
		}
	}
	for _, value := range []any{
		Done, Changed, Unchanged, Empty, Skipped, Partial, Failed, Interrupted,
		VerdictComplete, VerdictPartial, VerdictInterrupted, VerdictFailed,
		PublishedOff, PublishedPending, PublishedSent, PublishedFailed,
	} {
		if !strings.Contains(string(b), fmt.Sprintf("`%s`", value)) {
			t.Errorf("docs/report.md does not describe %s", value)
		}
	}
	for _, what := range []string{"*excluded*", "sizes are bytes", "prices are US dollars", "younger than the run", "All of them stay"} {
		if !strings.Contains(string(b), what) {
			t.Errorf("docs/report.md does not say %q", what)
		}
	}
}

func jsonFields(typ reflect.Type, found map[string]bool) map[string]bool {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		return jsonFields(typ.Elem(), found)
	case reflect.Struct:
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			found[name] = true
			if f.Type != reflect.TypeFor[time.Time]() {
				jsonFields(f.Type, found)
			}
		}
	}
	return found
}
