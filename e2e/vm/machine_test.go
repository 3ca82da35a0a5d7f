//go:build e2evm

package vm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// imds is where an instance finds its metadata.
const imds = "169.254.169.254"

// A machine is a virtual machine at work.
type machine struct {
	cmd   *exec.Cmd
	began time.Time
	over  chan struct{} // closed when QEMU has ended

	mu      sync.Mutex
	console []line
	events  []event
}

// kernelStarts is in the first line that a kernel writes.
const kernelStarts = "] Linux version "

// A line of the console, and when it came.
type line struct {
	at   time.Time
	text string
}

// An event of the emulator, https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html:
// SHUTDOWN has a reason, as "guest-shutdown" or "guest-reset".
type event struct {
	at           time.Time
	name, reason string
}

// boot starts a machine on a throw-away copy of the image. words are added to
// the kernel's command line.
func boot(t *testing.T, id, reboot string, words ...string) *machine {
	t.Helper()
	image := os.Getenv("MAYFLY_VM_IMAGE")
	if image == "" {
		t.Fatal("MAYFLY_VM_IMAGE is not set: run this with make e2e-vm")
	}
	here, there, err := socketpair()
	if err != nil {
		t.Fatal(err)
	}
	uuid := "ec2f1b6c-6c5d-4f0e-8a70-3a3f1c9e7d21" // cloud-init looks at how it begins
	m := &machine{over: make(chan struct{}), began: time.Now()}
	m.cmd = exec.Command("qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-machine", "pc", "-smp", "2", "-m", "512",
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-action", "reboot="+reboot,
		"-chardev", "socket,id=control,fd=3", "-mon", "chardev=control,mode=control",
		"-smbios", "type=1,manufacturer=Amazon EC2,product=t3.nano,uuid="+uuid+",serial="+uuid,
		"-smbios", "type=2,manufacturer=Amazon EC2,asset="+id,
		"-smbios", "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
		"-device", "virtio-rng-pci",
		"-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-drive", "file="+image+"/root.img,if=virtio,format=raw,snapshot=on",
		"-kernel", image+"/vmlinuz", "-initrd", image+"/initrd",
		"-append", strings.Join(append([]string{"root=/dev/vda console=ttyS0 panic=-1"}, words...), " "))
	m.cmd.ExtraFiles = []*os.File{there}
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stderr = m.cmd.Stdout
	file := consoleFile(t)
	if err := m.cmd.Start(); err != nil {
		t.Fatalf("start QEMU: %v: run this with make e2e-vm", err)
	}
	there.Close()
	var readers sync.WaitGroup
	readers.Go(func() { m.readConsole(out, file) })
	readers.Go(func() { m.readEvents(here) })
	go func() {
		readers.Wait()
		m.cmd.Wait()
		close(m.over)
	}()
	t.Cleanup(func() {
		m.cmd.Process.Kill()
		<-m.over
		here.Close()
		if t.Failed() {
			t.Logf("%s:\n%s", file.Name(), m.tail(60))
		}
		file.Close()
	})
	return m
}

// consoleFile is where a scenario's console output stays.
func consoleFile(t *testing.T) *os.File {
	t.Helper()
	name := filepath.Join(moduleRoot(t), ".e2e", "vm", "console", strings.ReplaceAll(t.Name(), "/", "-")+".txt")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// socketpair returns two connected sockets, one of them for the child.
func socketpair() (here, there *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

func (m *machine) readConsole(r io.Reader, file io.Writer) {
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadString('\n')
		if text != "" {
			l := line{time.Now(), strings.TrimRight(text, "\r\n")}
			fmt.Fprintf(file, "%7.2f %s\n", l.at.Sub(m.began).Seconds(), l.text)
			m.mu.Lock()
			m.console = append(m.console, l)
			m.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func (m *machine) readEvents(c io.ReadWriter) {
	fmt.Fprintln(c, `{"execute":"qmp_capabilities"}`)
	in := json.NewDecoder(c)
	for {
		var e struct {
			Event string
			Data  struct{ Reason string }
		}
		if err := in.Decode(&e); err != nil {
			return
		}
		if e.Event != "" {
			m.mu.Lock()
			m.events = append(m.events, event{time.Now(), e.Event, e.Data.Reason})
			m.mu.Unlock()
		}
	}
}

// said returns when a line that holds text first came; the zero time: never.
func (m *machine) said(text string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.console {
		if strings.Contains(l.text, text) {
			return l.at
		}
	}
	return time.Time{}
}

// ending returns when the last power-off began, after that many reboots: when
// the init system stopped what it had started, or the kernel was told directly.
func (m *machine) ending(reboots int) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	booted := 0
	for _, l := range m.console {
		switch {
		case strings.Contains(l.text, kernelStarts):
			booted++
		case booted != reboots+1:
		case strings.Contains(l.text, "Stopped target ") || strings.Contains(l.text, "systemd-shutdown[1]: ") || strings.Contains(l.text, "reboot: Power down"):
			return l.at
		}
	}
	return time.Time{}
}

// on reports whether the machine is on.
func (m *machine) on() bool {
	select {
	case <-m.over:
		return false
	default:
		return true
	}
}

// waitFor waits for a line that holds text, or for the machine's end.
func (m *machine) waitFor(text string) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for m.said(text).IsZero() {
		select {
		case <-tick.C:
		case <-m.over:
			return
		}
	}
}

// text is the console's output so far.
func (m *machine) text() string { return m.tail(1 << 30) }

// tail is the last lines of the console.
func (m *machine) tail(n int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, l := range m.console[max(0, len(m.console)-n):] {
		fmt.Fprintf(&b, "%7.2f %s\n", l.at.Sub(m.began).Seconds(), l.text)
	}
	return b.String()
}

// reasons returns the reasons of the events of that name.
func (m *machine) reasons(name string) (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.name == name {
			all = append(all, e.reason)
		}
	}
	return all
}

// waitOff waits until the machine has powered itself off, and returns when.
func (m *machine) waitOff(t *testing.T, limit time.Duration) time.Time {
	t.Helper()
	select {
	case <-m.over:
	case <-time.After(time.Until(m.began.Add(limit))):
		t.Fatalf("the machine is still on %s after it was started", limit)
	}
	if why := m.reasons("SHUTDOWN"); len(why) != 1 || why[0] != "guest-shutdown" {
		t.Errorf("the machine ended because of %q, want guest-shutdown", why)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.name == "SHUTDOWN" {
			return e.at
		}
	}
	return time.Now()
}
