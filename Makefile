# make demo    see it work: no account, no network
# make test    what every change must pass: needs only Go and git
# make e2e     the suites against things nobody here wrote; installs them
# make e2e-vm  boot a virtual machine with our user data; -all: with every fault
# make fuzz    every parser of outside bytes, for 30 s each
# make bench   side by side with what one would run instead
# make bench-receive  pushes by rsync, beside plain OpenSSH
# make build   bin/mayfly for this machine
# make dist    dist/: static, stripped, for every platform, with checksums

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS     = -s -w -X main.version=$(VERSION)
GOBUILD     = CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
# As it is built, so that what it needs is compiled once for all of it.
AS_BUILT    = CGO_ENABLED=0 GOFLAGS='$(strip $(GOFLAGS) -trimpath)'
PLATFORMS   = linux/amd64 linux/arm64 darwin/arm64 windows/amd64

# Something real may answer at the metadata address of a cloud machine; tests
# that want metadata bring their own server.
export AWS_EC2_METADATA_DISABLED = true

.PHONY: demo test check e2e e2e-receive e2e-vm e2e-vm-all fuzz bench bench-receive build dist clean

demo: build
	@go build -o bin/mayfly-demo ./cmd/mayfly-demo
	@bin/mayfly-demo -mayfly bin/mayfly $(if $(REPOS),-repos '$(REPOS)')

test: check
	go test -race ./...

check:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(AS_BUILT) go vet -tags e2e,e2evm ./...
	$(AS_BUILT) go run $(STATICCHECK) -tags e2e,e2evm ./...

# Most of these tests wait, for clocks and for others: more at once than there
# are processors.
e2e: build
	sh e2e/install.sh
	PATH="$(CURDIR)/.e2e/venv/bin:$(CURDIR)/.e2e/bin:$$PATH" $(AS_BUILT) go test -tags e2e -count 1 -parallel 5 -timeout 25m ./e2e

# Of e2e, what is about hosts that push.
e2e-receive: build
	sh e2e/install.sh
	PATH="$(CURDIR)/.e2e/venv/bin:$(CURDIR)/.e2e/bin:$$PATH" $(AS_BUILT) go test -tags e2e -count 1 -timeout 15m -run 'TestReceive|TestStation|TestVolume' ./e2e

e2e-vm: VM_TESTS = TestRun
e2e-vm-all: VM_TESTS = .
e2e-vm e2e-vm-all: build
	sh e2e/install.sh
	MAYFLY_VM_IMAGE=$$(sh e2e/vm/image.sh) && export MAYFLY_VM_IMAGE && \
	$(AS_BUILT) go test -tags e2evm -count 1 -timeout 90m -v -run '$(VM_TESTS)' ./e2e/vm

fuzz:
	sh e2e/fuzz.sh internal/archive internal/packfile internal/gitwire internal/rsyncargs jobs

bench: build
	sh e2e/install.sh
	PATH="$(CURDIR)/.e2e/venv/bin:$(CURDIR)/.e2e/bin:$$PATH" go run ./bench -mayfly bin/mayfly $(if $(REPOS),-repos '$(REPOS)')

bench-receive:
	sh e2e/install.sh
	go run ./bench/receive

build:
	@mkdir -p bin
	$(GOBUILD) -o bin/mayfly ./cmd/mayfly

dist:
	@mkdir -p dist
	@set -e; for p in $(PLATFORMS); do \
		os=$${p%/*} arch=$${p#*/} ext=; [ $$os = windows ] && ext=.exe; \
		echo "dist/mayfly-$$os-$$arch$$ext"; \
		GOOS=$$os GOARCH=$$arch $(GOBUILD) -o dist/mayfly-$$os-$$arch$$ext ./cmd/mayfly; \
	done
	@cd dist && sha256sum mayfly-* > SHA256SUMS

clean:
	rm -rf bin dist
