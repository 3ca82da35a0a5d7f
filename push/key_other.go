//go:build !unix

package push

func (Path) checkPrivate() error { return errSystem }
