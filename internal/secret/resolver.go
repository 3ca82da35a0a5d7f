package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A Source gets the secrets of one scheme by name. Its errors never hold the
// value; they say the cause, and where it helps what to do about it.
type Source interface {
	Get(ctx context.Context, name string) (string, error)
}

// A Resolver gets secrets from where they are kept, and tells a Redactor about
// every one before anyone else sees it.
type Resolver struct {
	sources  map[string]Source
	redactor *Redactor
}

// NewResolver takes the sources by scheme: ssm, secretsmanager, env, file.
func NewResolver(sources map[string]Source, r *Redactor) *Resolver {
	return &Resolver{sources, r}
}

// Resolve gets all of refs. Its error names every one that cannot be read, why,
// and what to do about it.
func (r *Resolver) Resolve(ctx context.Context, refs []Ref) (map[Ref]Value, error) {
	values := map[Ref]Value{}
	failed := map[Ref]bool{}
	var errs []error
	for _, ref := range refs {
		if _, done := values[ref]; done || failed[ref] {
			continue
		}
		v, err := r.one(ctx, ref)
		if err != nil {
			failed[ref] = true
			errs = append(errs, err)
			continue
		}
		values[ref] = v
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return values, nil
}

func (r *Resolver) one(ctx context.Context, ref Ref) (Value, error) {
	src, ok := r.sources[ref.Scheme]
	if !ok {
		return Value{}, fmt.Errorf("read secret %s: %s: cannot be read here: keep it elsewhere", ref, ref.Scheme)
	}
	plain, err := src.Get(ctx, ref.Name)
	if err != nil {
		return Value{}, fmt.Errorf("read secret %s: %w", ref, err)
	}
	plain = strings.TrimRight(plain, "\r\n")
	if strings.TrimSpace(plain) == "" {
		return Value{}, fmt.Errorf("read secret %s: it is empty: store the value there", ref)
	}
	v := New(plain)
	if err := r.redactor.Add(v); err != nil {
		return Value{}, fmt.Errorf("read secret %s: %w", ref, err)
	}
	return v, nil
}

// Env reads environment variables.
type Env func(name string) string

var _ Source = Env(nil)

// Get returns the variable's value.
func (e Env) Get(_ context.Context, name string) (string, error) {
	v := e(name)
	if v == "" {
		return "", fmt.Errorf("the variable is not set: export %s=… before", name)
	}
	return v, nil
}

// Files reads files.
type Files struct{}

var _ Source = Files{}

// maxFile is far more than any secret; a larger file is the wrong one.
const maxFile = 64 << 10

// Get returns the file's content.
func (Files) Get(_ context.Context, name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("%w: write the path of a file that this user may read", pathless(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: write the path of a file", pathless(err))
	case len(b) > maxFile:
		return "", fmt.Errorf("the file is larger than %d bytes: this is not a secret", maxFile)
	}
	return string(b), nil
}

// pathless is err without the path, which the reference says already.
func pathless(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
