package runner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// What a job does last comes behind the mail and the lock's release, whatever
// became of the run. Where the machine ends, nothing comes before that.
func TestLast(t *testing.T) {
	t.Parallel()
	for name, job := range map[string]jobFunc{
		"well":  items(Changed),
		"panic": func(context.Context, *Recorder) error { panic("ouch") },
	} {
		for what, last := range map[string]func() error{
			"done":  func() error { return nil },
			"fails": func() error { return errors.New("no way out") },
			"panic": func() error { panic("ouch") },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				st := newMemStore()
				var order []string
				d, _ := deployment(st, Task{Name: "a", Job: job, Last: func(context.Context) error {
					if lock := st.text("runs/lock.json"); strings.Contains(lock, `"released":true`) {
						order = append(order, "released")
					}
					order = append(order, "last")
					return last()
				}})
				d.Publisher = &mailbox{fail: func(context.Context) error { order = append(order, "mail"); return nil }}
				if _, err := Run(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				if want := []string{"mail", "released", "last"}; !slices.Equal(order, want) {
					t.Errorf("%q, lock %s", order, st.text("runs/lock.json"))
				}
				order = nil
				d.RunID = "20000101T000001Z-host"
				d.Ender = orderedEnd(func() { order = append(order, "end") })
				if _, err := Run(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				if want := []string{"mail", "end"}; !slices.Equal(order, want) {
					t.Errorf("on a machine that ends: %q", order)
				}
			})
		}
	}
}

type orderedEnd func()

func (f orderedEnd) End(context.Context) error { f(); return nil }
