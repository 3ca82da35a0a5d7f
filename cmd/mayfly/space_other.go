//go:build !unix

package main

// freeSpace is not known here; rsync says when there is none left.
func freeSpace(string) (bytes int64, known bool) { return 0, false }
