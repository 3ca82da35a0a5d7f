package jail

import "golang.org/x/sys/unix"

// forbiddenHere are those that only this architecture has. The old open(2)
// takes its flags elsewhere, and no C library in use calls it or creat(2).
var forbiddenHere = []uint32{
	unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS, unix.SYS__SYSCTL,
	unix.SYS_CREATE_MODULE, unix.SYS_GET_KERNEL_SYMS, unix.SYS_QUERY_MODULE, unix.SYS_NFSSERVCTL, unix.SYS_LOOKUP_DCOOKIE,
	unix.SYS_OPEN, unix.SYS_CREAT,
}
