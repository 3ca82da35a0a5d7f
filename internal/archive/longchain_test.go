package archive

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"mayfly/internal/gittest"
)

// An open chain takes little memory, however long it is, and comes back whole.
// Not parallel: the heap is everybody's.
func TestLongChain(t *testing.T) {
	const increments = 200
	st := newStore(t)
	dir := repo(t, gittest.Normal)
	backUp(t, st, created, dir, "")
	s := snapshot(t, dir)
	c := open(t, st)
	for i := range increments {
		o := testOptions()
		o.Created = created.Add(time.Duration(i+1) * time.Minute)
		w, err := Append(t.Context(), st, c, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Metadata("repository", []byte(`"`+strings.Repeat(fmt.Sprint(i%10), tailSize)+`"`)); err != nil {
			t.Fatal(err)
		}
		now := s
		if i%2 == 0 {
			now.Refs = s.Refs[:1]
		}
		if err := w.Refs(Repo, now); err != nil {
			t.Fatal(err)
		}
		seg, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		r, err := openSegment(t.Context(), st, "github", seg.Object)
		if err != nil {
			t.Fatal(err)
		}
		c.readers, c.Segments = append(c.readers, r), append(c.Segments, seg)
		c.parts[Repo].now = &now
	}
	c = nil
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	c = open(t, st)
	took := live() - before
	if took > 4<<20 {
		t.Errorf("%d segments take %d kB while they are open", len(c.Segments), took>>10)
	}
	t.Logf("%d segments take %d kB", len(c.Segments), took>>10)
	runtime.KeepAlive(c)
	if problems := notes(t, st); len(problems) > 0 {
		t.Error(problems)
	}
}
