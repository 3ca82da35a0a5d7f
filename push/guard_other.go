//go:build !unix

package push

type guard struct{ dir string }

func newGuard(*Config, func(string) string) (*guard, error) { return nil, errSystem }

func (*guard) close() error { return nil }
