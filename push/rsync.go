package push

import (
	"regexp"
	"strconv"
)

// Sent is what rsync's --stats say of a transfer.
type Sent struct {
	Files   int64 // transferred
	Deleted int64
	Bytes   int64 // of the files transferred
	Wire    int64 // that went over the line
	Total   int64 // of all files of the source
}

// https://download.samba.org/pub/rsync/rsync.1#opt--stats
var statLines = []struct {
	form *regexp.Regexp
	into func(*Sent) *int64
}{
	{regexp.MustCompile(`(?m)^Number of (?:regular )?files transferred: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Files }},
	{regexp.MustCompile(`(?m)^Number of deleted files: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Deleted }},
	{regexp.MustCompile(`(?m)^Total transferred file size: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Bytes }},
	{regexp.MustCompile(`(?m)^Total bytes sent: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Wire }},
	{regexp.MustCompile(`(?m)^Total file size: ([\d,.]+)`), func(s *Sent) *int64 { return &s.Total }},
}

var digits = regexp.MustCompile(`[^\d]`)

// parseStats reads what --stats print.
func parseStats(text string) Sent {
	var s Sent
	for _, l := range statLines {
		if m := l.form.FindStringSubmatch(text); m != nil {
			*l.into(&s), _ = strconv.ParseInt(digits.ReplaceAllString(m[1], ""), 10, 64)
		}
	}
	return s
}

// A Progress is where a transfer stands.
type Progress struct {
	Source string
	Bytes  int64
	Share  int    // percent of what is known so far
	Rate   string // as rsync writes it: 10.52MB/s
}

// progressLine is what --info=progress2 prints over and over:
// "    1,238,099  42%  146.38kB/s    0:00:08 (xfr#5, ir-chk=12/48)".
var progressLine = regexp.MustCompile(`^\s*([\d,.]+)\s+(\d+)%\s+(\S+/s)\s`)

func parseProgress(line string) (p Progress, ok bool) {
	m := progressLine.FindStringSubmatch(line)
	if m == nil {
		return p, false
	}
	p.Bytes, _ = strconv.ParseInt(digits.ReplaceAllString(m[1], ""), 10, 64)
	p.Share, _ = strconv.Atoi(m[2])
	p.Rate = m[3]
	return p, true
}
