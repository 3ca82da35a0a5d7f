package command

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// A Size is a number of bytes as people write it in the config: "512MiB".
type Size int64

var sizeForm = regexp.MustCompile(Size(0).Pattern())

// Pattern is the form for the schema.
func (Size) Pattern() string { return `^([1-9][0-9]{0,8})(KiB|MiB|GiB)$` }

// UnmarshalText parses the form.
func (s *Size) UnmarshalText(b []byte) error {
	m := sizeForm.FindSubmatch(b)
	if m == nil {
		return errors.New(`not a size: write it like "512MiB": KiB, MiB or GiB behind a whole number`)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		return err
	}
	*s = Size(n << map[string]int{"KiB": 10, "MiB": 20, "GiB": 30}[string(m[2])])
	return nil
}

// String is the form that UnmarshalText reads.
func (s Size) String() string {
	switch {
	case s%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", s>>30)
	case s%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", s>>20)
	}
	return fmt.Sprintf("%dKiB", s>>10)
}
