//go:build !unix

package push

import "os"

func endGroup(p *os.Process) error { return p.Kill() }
