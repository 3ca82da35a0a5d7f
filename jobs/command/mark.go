package command

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// markName is the variable that marks what belongs to a command.
const markName = "MAYFLY_COMMAND"

// newMark is a variable that no other command has: by it, its processes are
// known where they cannot be held in a control group.
func newMark() (string, error) {
	b := make([]byte, 12)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("mark the command: %w", err)
	}
	return markName + "=" + hex.EncodeToString(b), nil
}
