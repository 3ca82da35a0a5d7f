package command

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The filter is a BPF program of some dozens of instructions, put together and
// loaded by hand: a library for it would be larger than the job.
// https://docs.kernel.org/bpf/standardization/instruction-set.html

// insn is one instruction.
type insn struct {
	op   uint8
	regs uint8 // source << 4 | destination
	off  int16
	imm  int32
}

const (
	r0, r1, r2, r3, r4, r6, fp = 0, 1, 2, 3, 4, 6, 10

	skbLoadBytes = 26 // helpers, by their numbers in linux/bpf.h
	getSocketUID = 47

	frame = -16 // where on the stack a part of the packet is put
)

func mov(dst uint8, imm int32) insn    { return insn{0xb7, dst, 0, imm} }
func movReg(dst, src uint8) insn       { return insn{0xbf, src<<4 | dst, 0, 0} }
func add(dst uint8, imm int32) insn    { return insn{0x07, dst, 0, imm} }
func call(helper int32) insn           { return insn{0x85, 0, 0, helper} }
func load8(dst uint8, off int16) insn  { return insn{0x71, fp<<4 | dst, off, 0} }
func load32(dst uint8, off int16) insn { return insn{0x61, fp<<4 | dst, off, 0} }
func rsh(dst uint8, imm int32) insn    { return insn{0x77, dst, 0, imm} }
func exit() insn                       { return insn{0x95, 0, 0, 0} }

// jeq and jne compare the lower 32 bits; to is how many instructions are
// skipped.
func jeq(dst uint8, imm int32, to int) insn { return insn{0x16, dst, int16(to), imm} }
func jne(dst uint8, imm int32, to int) insn { return insn{0x56, dst, int16(to), imm} }

// fetchBytes puts n bytes of the packet, from its IP header's offset on, on the
// stack; r0 is 0 then.
func fetchBytes(offset, n int32) []insn {
	return []insn{movReg(r1, r6), mov(r2, offset), movReg(r3, fp), add(r3, frame), mov(r4, n), call(skbLoadBytes)}
}

// drop ends the program so that the packet is not sent, pass so that it is.
func drop() []insn { return []insn{mov(r0, 0), exit()} }
func pass() []insn { return []insn{mov(r0, 1), exit()} }

// filter is the program: it drops packets to the addresses, and those of IP
// version 4 with options, which could name another destination than they show.
// With a uid of 0 or more it lets through whatever is not of that user's
// sockets.
func filter(addresses []netip.Addr, uid int) []insn {
	p := []insn{movReg(r6, r1)}
	if uid >= 0 {
		p = append(p, call(getSocketUID), jeq(r0, int32(uid), 2))
		p = append(p, pass()...)
	}
	p = append(p, fetchBytes(0, 1)...)
	p = append(p, jeq(r0, 0, 2))
	p = append(p, drop()...)
	v4, v6 := versions(addresses)
	v4 = append(append([]insn{jeq(r1, 0x45, 2)}, drop()...), v4...)
	p = append(p, load8(r1, frame), movReg(r2, r1), rsh(r2, 4), jeq(r2, 4, 3), jeq(r2, 6, 2+len(v4)))
	p = append(p, pass()...)
	p = append(p, v4...)
	return append(p, v6...)
}

// versions are the parts for both versions of IP: each ends the program.
func versions(addresses []netip.Addr) (v4, v6 []insn) {
	word := func(b []byte) int32 { return int32(binary.NativeEndian.Uint32(b)) }
	v4 = append(fetchBytes(16, 4), jeq(r0, 0, 2))
	v4 = append(append(v4, drop()...), load32(r1, frame))
	v6 = append(fetchBytes(24, 16), jeq(r0, 0, 2))
	v6 = append(v6, drop()...)
	for _, a := range addresses {
		if a.Is4() {
			v4 = append(v4, jne(r1, word(a.AsSlice()), 2))
			v4 = append(v4, drop()...)
			continue
		}
		b := a.AsSlice()
		for i := range 4 {
			// Behind this: the comparisons that are left, and drop.
			v6 = append(v6, load32(r1, frame+int16(4*i)), jne(r1, word(b[4*i:]), 2*(3-i)+2))
		}
		v6 = append(v6, drop()...)
	}
	return append(v4, pass()...), append(v6, pass()...)
}

// bpf is bpf(2).
func bpf(command uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// loadFilter gives the program to the kernel.
func loadFilter(addresses []netip.Addr, uid int) (*os.File, error) {
	program, license := filter(addresses, uid), []byte("GPL\x00")
	attr := struct {
		kind, count         uint32
		program, license    uint64
		logLevel, logSize   uint32
		log                 uint64
		kernel, flags       uint32
		name                [16]byte
		ifindex, attachType uint32
	}{
		kind: unix.BPF_PROG_TYPE_CGROUP_SKB, count: uint32(len(program)),
		program:    uint64(uintptr(unsafe.Pointer(&program[0]))),
		license:    uint64(uintptr(unsafe.Pointer(&license[0]))),
		attachType: unix.BPF_CGROUP_INET_EGRESS,
	}
	copy(attr.name[:], "mayfly")
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(program)
	runtime.KeepAlive(license)
	if err != nil {
		return nil, fmt.Errorf("load a BPF program: %w", err)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "bpf"), nil
}

// attach lets a program see what leaves a control group; it stays as long as
// the group.
func attach(program, group *os.File) error {
	attr := struct{ target, program, kind, flags uint32 }{
		uint32(group.Fd()), uint32(program.Fd()), unix.BPF_CGROUP_INET_EGRESS, unix.BPF_F_ALLOW_MULTI,
	}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return fmt.Errorf("attach a BPF program: %w", err)
	}
	return nil
}

// link is attach for as long as what it returns is open.
func link(program, group *os.File) (*os.File, error) {
	attr := struct{ program, target, kind, flags uint32 }{
		uint32(program.Fd()), uint32(group.Fd()), unix.BPF_CGROUP_INET_EGRESS, 0,
	}
	fd, err := bpf(unix.BPF_LINK_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, fmt.Errorf("attach a BPF program for the user: %w", err)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "bpf"), nil
}
