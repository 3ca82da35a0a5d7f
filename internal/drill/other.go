//go:build !linux

package drill

import (
	"context"
	"errors"
)

// Compare fails.
func Compare(context.Context, string, string, Limits) (Result, error) {
	return Result{}, errors.New("volumes are attached to Linux machines only")
}
