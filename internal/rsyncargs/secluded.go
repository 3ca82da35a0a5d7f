package rsyncargs

import (
	"errors"
	"io"
)

// ReadSecluded reads the words that a client with -s sends ahead of the
// protocol: each ended by a NUL, all ended by another (send_protected_args in
// rsync's main.c). The first is the program's name, which is left out. It reads
// no byte too many.
func ReadSecluded(r io.Reader) ([]string, error) {
	var words []string
	var b [1]byte
	var w []byte
	for total := 0; ; total++ {
		if total > maxLine {
			return nil, errors.New("they are too long")
		}
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		switch {
		case b[0] != 0:
			w = append(w, b[0])
			continue
		case len(w) == 0:
			if len(words) == 0 {
				return nil, errors.New("there are none")
			}
			return words[1:], nil
		}
		if words = append(words, string(w)); len(words) > maxWords {
			return nil, errors.New("there are too many")
		}
		w = w[:0]
	}
}
