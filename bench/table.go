//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"mayfly/runner"
)

// A row is what one contender cost in one comparison.
type row struct {
	name string
	sample
	stored int64 // bytes in the bucket afterwards
}

// A table collects the results as Markdown.
type table struct {
	b      strings.Builder
	starts []string
}

// compare writes rows and their ratios to A.
func (t *table) compare(title string, a row, others ...row) {
	fmt.Fprintf(&t.b, "### %s\n\n", strings.ToUpper(title[:1])+title[1:])
	t.b.WriteString("| | wall s | CPU s | peak memory MB | disk MB | stored MB | wall / A | CPU / A | memory / A | stored / A |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range append([]row{a}, others...) {
		fmt.Fprintf(&t.b, "| %s | %.2f | %.2f | %.1f | %.1f | %.1f | %.2f | %.2f | %.2f | %.2f |\n",
			r.name, r.wall.Seconds(), r.cpu.Seconds(), mb(r.peakRSS), mb(r.disk), mb(r.stored),
			r.wall.Seconds()/a.wall.Seconds(), r.cpu.Seconds()/a.cpu.Seconds(),
			float64(r.peakRSS)/float64(a.peakRSS), float64(r.stored)/float64(a.stored))
	}
	t.b.WriteString("\n")
}

// sent is compare for later runs, where what was uploaded counts; packs is the
// size of the packs that hold what is new, in all rounds.
func (t *table) sent(title string, packs int64, a row, others ...row) {
	fmt.Fprintf(&t.b, "### %s\n\n", strings.ToUpper(title[:1])+title[1:])
	t.b.WriteString("| | wall s | CPU s | peak memory MB | disk MB | uploaded MB | wall / A | CPU / A | uploaded / new packs |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range append([]row{a}, others...) {
		ratio := "-"
		if packs > 0 {
			ratio = fmt.Sprintf("%.2f", float64(r.stored)/float64(packs))
		}
		fmt.Fprintf(&t.b, "| %s | %.2f | %.2f | %.1f | %.1f | %.3f | %.4f | %.4f | %s |\n",
			r.name, r.wall.Seconds(), r.cpu.Seconds(), mb(r.peakRSS), mb(r.disk), mb(r.stored),
			r.wall.Seconds()/a.wall.Seconds(), r.cpu.Seconds()/a.cpu.Seconds(), ratio)
	}
	if packs > 0 {
		fmt.Fprintf(&t.b, "\nUploaded: by all rounds together, which made packs of %.3f MB.\n", mb(packs))
	}
	t.b.WriteString("\n")
}

// alone writes a row that has no counterpart.
func (t *table) alone(title string, r row) {
	fmt.Fprintf(&t.b, "%s: %.1f s, %.1f s CPU, peak memory %.1f MiB, %d bytes on disk, %.0f MB stored (%.0f MB/s).\n\n",
		strings.ToUpper(title[:1])+title[1:], r.wall.Seconds(), r.cpu.Seconds(), float64(r.peakRSS)/(1<<20), r.disk+r.written, mb(r.stored), mb(r.stored)/r.wall.Seconds())
}

func (t *table) markdown(about string) string {
	return about + t.b.String() + "Start to end, median of 21: " + strings.Join(t.starts, ", ") + ".\n"
}

const rcloneVersion = "rclone version | sed -n 's/^rclone v/rclone /p'"

// machine says when, where and with what this was measured; more are commands
// of sh that print versions.
func (b *bench) machine(ctx context.Context, more ...string) string {
	versions := []string{output(ctx, b.mayfly, "version"), output(ctx, "aws", "--version")}
	for _, c := range append(more, "echo versitygw $(go version -m $(command -v versitygw) | awk '$1 == \"mod\" {print $3}')") {
		versions = append(versions, output(ctx, "sh", "-c", c))
	}
	return fmt.Sprintf("Measured %s on %s, %d cores, %s; %s. Best of %s.\n\n", time.Now().UTC().Format("2006-01-02"), cpuModel(), runtime.NumCPU(), runtime.GOARCH, strings.Join(versions, ", "), runner.FormatCount(b.rounds, "rounds"))
}

// describe is machine, and which repositories there were.
func (b *bench) describe(ctx context.Context) string {
	var s strings.Builder
	s.WriteString(b.machine(ctx, "git --version", "zip -v | sed -n 's/^This is \\(Zip [0-9.]*\\).*/\\1/p'"))
	s.WriteString("Repositories: ")
	for i, name := range b.names {
		dir := bare(b.served, "first", name)
		n, _ := size(filepath.Join(dir, "objects")) // only for show
		if i > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%s at %s (%.0f MB packed)", name, output(ctx, "git", "-C", dir, "rev-parse", "--short=12", "HEAD"), mb(n))
	}
	s.WriteString(".\n\n")
	return s.String()
}

func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return name + " (version unknown)"
	}
	return strings.TrimSpace(string(out))
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // only for show
	for line := range strings.Lines(string(info)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "an unknown CPU"
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// What stands between a mark and the next one, or the end, is a table.
const (
	tableMark       = "<!-- results -->\n"
	directoriesMark = "<!-- directories -->\n"
	endMark         = "<!-- end -->\n"
)

// writeTable replaces what stands behind the mark in the file.
func writeTable(path, mark, text string) error {
	fmt.Print(text)
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(old), mark)
	if !ok {
		return fmt.Errorf("%s has no line %q to put the table behind", path, strings.TrimSpace(mark))
	}
	tail := ""
	if _, after, ok := strings.Cut(rest, endMark); ok {
		tail = endMark + after
	}
	return os.WriteFile(path, []byte(head+mark+"\n"+text+tail), 0o644)
}
