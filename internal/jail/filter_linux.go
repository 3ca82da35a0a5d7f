package jail

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidden are the system calls that no backup needs: those that change
// namespaces and mounts, look into other processes, load code into the kernel,
// or open large parts of it to attack. Most want capabilities that are gone
// already.
var forbidden = []uint32{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSCONFIG, unix.SYS_FSPICK, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_VHANGUP,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_PERSONALITY, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES, unix.SYS_MBIND, unix.SYS_SET_MEMPOLICY,
	unix.SYS_TRUNCATE, // files are cut by their descriptors
}

// newNamespaces are the flags of clone(2) that make namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP

// Where struct seccomp_data has what, and what a filter may answer.
const (
	atNumber = 0
	atArch   = 4
	atArg0   = 16
	atArg2   = 32

	answerAllow = unix.SECCOMP_RET_ALLOW
	answerKill  = unix.SECCOMP_RET_KILL_PROCESS
	answerError = unix.SECCOMP_RET_ERRNO
)

var auditArch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// filter forbids system calls to this thread and all that it executes. strict
// stands in for Landlock's TRUNCATE, which came with version 3 (Linux 6.2).
// https://docs.kernel.org/userspace-api/seccomp_filter.html
func filter(strict bool) error {
	arch, ok := auditArch[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("no system call filter for %s: use amd64 or arm64", runtime.GOARCH)
	}
	prog := program(arch, strict)
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog))); errno != 0 {
		return fmt.Errorf("install the system call filter: %w", errno)
	}
	return nil
}

func program(arch uint32, strict bool) []unix.SockFilter {
	f := []unix.SockFilter{
		load(atArch), jump(unix.BPF_JEQ, arch, 1, 0), answer(answerKill),
		load(atNumber),
	}
	if arch == unix.AUDIT_ARCH_X86_64 { // x32's numbers are others for the same calls
		f = append(f, jump(unix.BPF_JGE, 0x40000000, 0, 1), answer(answerError|uint32(unix.EPERM)))
	}
	for _, nr := range append(forbidden, forbiddenHere...) {
		f = append(f, jump(unix.BPF_JEQ, nr, 0, 1), answer(answerError|uint32(unix.EPERM)))
	}
	// Libraries do without it, and its flags are out of a filter's sight.
	f = append(f, jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1), answer(answerError|uint32(unix.ENOSYS)))
	f = append(f, jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, 4),
		load(atArg0), jump(unix.BPF_JSET, newNamespaces, 0, 1), answer(answerError|uint32(unix.EPERM)), answer(answerAllow))
	f = append(f, jump(unix.BPF_JEQ, unix.SYS_SOCKET, 0, 4),
		load(atArg0), jump(unix.BPF_JEQ, unix.AF_UNIX, 1, 0), answer(answerError|uint32(unix.EPERM)), answer(answerAllow))
	if strict { // opening for reading, and cutting all the same
		f = append(f, jump(unix.BPF_JEQ, unix.SYS_OPENAT2, 0, 1), answer(answerError|uint32(unix.ENOSYS)))
		f = append(f, jump(unix.BPF_JEQ, unix.SYS_OPENAT, 0, 6),
			load(atArg2), jump(unix.BPF_JSET, unix.O_TRUNC, 0, 3),
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: unix.O_ACCMODE},
			jump(unix.BPF_JEQ, unix.O_RDONLY, 0, 1), answer(answerError|uint32(unix.EPERM)), answer(answerAllow))
	}
	return append(f, answer(answerAllow))
}

func load(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}

func jump(op uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: k}
}

func answer(k uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
}
