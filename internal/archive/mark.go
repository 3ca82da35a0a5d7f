package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mayfly/internal/store"
)

// MarkName is the object that marks the chain beside it as damaged. That it is
// there is what counts, not what it says: a run sees it in the listing.
const MarkName = "DAMAGED.txt"

// MarkKey is where the mark of a chain is kept.
func MarkKey(prefix, owner, name string, full time.Time) string {
	return FolderKey(prefix, owner, name, full) + MarkName
}

// FolderKey is what the keys of a chain's segments begin with.
func FolderKey(prefix, owner, name string, full time.Time) string {
	return below(prefix) + owner + "/" + name + "/" + full.UTC().Format(stampLayout) + "/"
}

// Mark says in the store that a chain is damaged: no run goes on from it then,
// and none counts it as a backup. A mark that is there already stays.
func Mark(ctx context.Context, st store.Store, key string, at time.Time, version string, found error) error {
	text := fmt.Sprintf(`mayfly verify found damage in the archives of this folder.

when   %s
by     mayfly %s
found  %s

No run goes on from these archives: the next one writes a full archive into a
folder of its own. Points in time from before the damage may be whole; mayfly
restore checks all that it reads. If the archives were mended, delete this file:
mayfly verify writes it anew if they are not whole.
`, at.UTC().Format(time.RFC3339), version, strings.ReplaceAll(found.Error(), "\n", "\n       "))
	_, err := st.Put(ctx, key, []byte(text), "")
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}
