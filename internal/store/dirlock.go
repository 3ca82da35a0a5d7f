package store

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// lock takes the store's lock, which holds off every other process and
// goroutine that changes the store. It is held for a few system calls only, and
// ends with the process.
func (d *Dir) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.root, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		taken, err := tryLock(f)
		if err == nil && taken {
			return func() { f.Close() }, nil
		}
		if err == nil {
			err = pause(ctx, wait)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
	}
}
