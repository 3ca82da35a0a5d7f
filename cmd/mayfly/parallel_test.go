package main

import (
	"testing"

	"mayfly/jobs/github"
)

// Every repository in work can hold a part buffer while its git server stalls:
// there must be one for each.
func TestAsManyBuffersAsRepositoriesAtOnce(t *testing.T) {
	t.Parallel()
	if ps := (&github.Config{Owners: []string{"octocat"}, Parallel: partBuffers}).Validate(); len(ps) > 0 {
		t.Errorf("parallel %d: %v", partBuffers, ps)
	}
	if ps := (&github.Config{Owners: []string{"octocat"}, Parallel: partBuffers + 1}).Validate(); len(ps) != 1 {
		t.Errorf("parallel %d, with %d buffers: %v", partBuffers+1, partBuffers, ps)
	}
}
