//go:build !linux

package ending

import (
	"context"
	"errors"
)

// ThisMachine refuses: only Linux instances are ended.
func ThisMachine(context.Context, bool, func(context.Context) string) (*Machine, error) {
	return nil, errors.New("this machine is not ended: mayfly ends Linux instances only: leave --end-instance out")
}
