// Package vm boots a virtual machine with our user data and nothing else, and
// watches until it has powered itself off. `make e2e-vm` runs the main
// scenario, `make e2e-vm-all` all of them; what stands between them and a plain
// `go test` is the build tag e2evm.
//
// The machine is Debian bookworm with cloud-init (image.sh), emulated by QEMU
// without the help of the host's processor, so that it runs anywhere. It sees
// an Amazon EC2 instance: in the firmware's tables, and at 169.254.169.254.
// That address is this test's own, in a network namespace that holds nothing
// else: neither the machine nor the servers can reach any network.
package vm
