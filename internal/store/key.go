package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxKey is S3's limit for a key, in bytes of UTF-8.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const MaxKey = 1024

// CheckKey says what is wrong with key, or nothing: keys are slash-separated
// relative paths in UTF-8 without empty, "." or ".." parts.
func CheckKey(key string) error {
	problem := ""
	switch {
	case key == "":
		problem = "it is empty"
	case len(key) > MaxKey:
		problem = fmt.Sprintf("it is longer than %d bytes", MaxKey)
	case !utf8.ValidString(key):
		problem = "it is not UTF-8"
	case strings.ContainsFunc(key, unicode.IsControl):
		problem = "it holds a control character"
	case strings.ContainsAny(key, "\uFFFE\uFFFF"):
		// XML 1.0 has no way to write them: https://www.w3.org/TR/xml/#charsets
		problem = "it holds a character (U+FFFE or U+FFFF) that no listing of S3 can show"
	}
	for part := range strings.SplitSeq(key, "/") {
		if problem == "" && (part == "" || part == "." || part == "..") {
			problem = fmt.Sprintf("%q cannot be a part of it", part)
		}
	}
	if problem != "" {
		return fmt.Errorf("bad object key %q: %s", key, problem)
	}
	return nil
}

// CheckIn is CheckKey for a key in a store: in a bucket, what stands before it
// counts, too.
func CheckIn(st Store, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	rest, inBucket := strings.CutPrefix(st.URL(key), "s3://")
	if _, full, _ := strings.Cut(rest, "/"); inBucket && len(full) > MaxKey {
		return fmt.Errorf("bad object key %q: it is longer than %d bytes with %d for the folder of the store", key, MaxKey, len(full)-len(key))
	}
	return nil
}

// windowsProblem says why Windows cannot keep a file of this name.
// https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
func windowsProblem(key string) error {
	for part := range strings.SplitSeq(key, "/") {
		stem, _, _ := strings.Cut(part, ".")
		stem = strings.ToUpper(strings.TrimRight(stem, " "))
		switch {
		case strings.ContainsAny(part, `<>:"|?*\`):
			return fmt.Errorf("windows allows none of <>:\"|?*\\ in the file name %q: keep the store on another system or in S3", part)
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
			return fmt.Errorf("windows drops the last character of the file name %q: keep the store on another system or in S3", part)
		case reservedOnWindows(stem):
			return fmt.Errorf("windows reserves the file name %q: keep the store on another system or in S3", part)
		}
	}
	return nil
}

func reservedOnWindows(stem string) bool {
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		port, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && utf8.RuneCountInString(port) == 1 && strings.Contains("123456789¹²³", port)
}

var errPastEnd = errors.New("the range goes beyond the object's end")
