package command

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mayfly/internal/secret"
)

// maxVariable is what Linux takes for one variable, its name and the = included
// (MAX_ARG_STRLEN, execve(2)).
const maxVariable = 128 << 10

// secretVariables are the variables of secrets. longest is the longest of all
// secrets that the command knows.
func (j *job) secretVariables() (vars []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(j.config.Secrets)) {
		v, err := j.secret(j.config.Secrets[name])
		if err != nil {
			return nil, err
		}
		switch plain := v.Reveal(); {
		case strings.ContainsRune(plain, 0):
			return nil, fmt.Errorf("secrets.%s: it holds a NUL character, which no variable can: put it under secret_files", name)
		case len(name)+len(plain)+2 > maxVariable:
			return nil, fmt.Errorf("secrets.%s: it is too long for a variable: put it under secret_files", name)
		default:
			vars = append(vars, name+"="+plain)
		}
	}
	return vars, nil
}

// secret reads one, and makes known what programs make of it that fold long
// lines.
func (j *job) secret(ref secret.Ref) (secret.Value, error) {
	v, err := j.env.Secret(ref)
	if err != nil {
		return v, err
	}
	j.hide(v)
	return v, nil
}

// hide makes v known to all that is written, whole and as base64 (57 bytes to a
// line), openssl base64 (48) and xxd -p (30) cut it into lines.
func (j *job) hide(v secret.Value) {
	j.env.Hide(v)
	plain := v.Reveal()
	j.longest = max(j.longest, len(plain))
	for _, n := range []int{57, 48, 30} {
		if len(plain) < n || len(plain) > 64<<10 {
			continue
		}
		for chunk := range slices.Chunk([]byte(plain), n) {
			if len(chunk) >= 12 {
				j.env.Hide(secret.New(string(chunk)))
			}
		}
	}
}

// writeSecrets writes secret_files, each readable by the command alone, in a
// directory of their own: in memory, where there is such a place.
func (j *job) writeSecrets(w *workplace, a account) error {
	if len(j.config.SecretFiles) == 0 {
		return nil
	}
	parent := inMemory(j.env.Getenv("XDG_RUNTIME_DIR"))
	if parent == "" {
		parent = w.base
	}
	dir, err := os.MkdirTemp(parent, "mayfly-secrets-")
	if err != nil {
		return fmt.Errorf("make a place for secrets: %w", err)
	}
	w.secrets = dir
	for _, name := range slices.Sorted(maps.Keys(j.config.SecretFiles)) {
		v, err := j.secret(j.config.SecretFiles[name])
		if err != nil {
			return err
		}
		if err := a.write(filepath.Join(dir, name), []byte(v.Reveal()), 0o400); err != nil {
			return fmt.Errorf("write the secret file %s: %w", name, err)
		}
	}
	if err := a.give(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o500)
}
