package mayfly_test

import (
	"os/exec"
	"strings"
	"testing"
)

// What may import what: the direction of imports is the design's skeleton
// (docs/architecture.md). A rule names, for every package whose path begins
// with it, the only packages of this module it may import; the longest
// matching rule counts.
var mayImport = map[string][]string{
	"cmd/":                     {""},
	"bench":                    {""},
	"bench/":                   {""},
	"e2e":                      {""},
	"e2e/":                     {""},
	"jobs/":                    {"runner", "iam", "internal/store", "internal/gitwire", "internal/archive", "internal/secret", "internal/sshd", "internal/jail", "internal/volume", "internal/drill"},
	"jobs":                     {"runner", "jobs/"},
	"runner":                   {"iam", "internal/store", "internal/secret", "internal/strictyaml"},
	"iam":                      {},
	"userdata":                 {},
	"stack/deploy":             {"stack", "internal/cloud"},
	"push":                     {"runner", "internal/strictyaml", "internal/gocryptfs", "internal/remote"},
	"stack":                    {"iam"},
	"internal/":                {},
	"internal/archive":         {"internal/store", "internal/packfile", "internal/gitref"},
	"internal/rebuild":         {"internal/gitref"},
	"internal/gitwire":         {"internal/packfile"},
	"internal/packfile":        {"internal/inflate"},
	"internal/githubtest":      {"internal/gittest"},
	"internal/sshd":            {"internal/jail", "internal/rsyncargs", "internal/sftpd"},
	"internal/store/storetest": {"internal/store"},
}

type pkg struct {
	path    string
	imports []string
}

// list runs go list over everything in the module, tests left out.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		pkgs = append(pkgs, pkg{f[0], f[1:]})
	}
	if len(pkgs) == 0 {
		t.Fatal("go list named no package")
	}
	return pkgs
}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "mayfly/...") {
		self := strings.TrimPrefix(p.path, "mayfly/")
		rule, found := "", false
		for prefix := range mayImport {
			if (self == prefix || strings.HasPrefix(self, prefix) && strings.HasSuffix(prefix, "/")) && len(prefix) >= len(rule) {
				rule, found = prefix, true
			}
		}
		if !found && p.path != "mayfly" {
			t.Errorf("%s has no rule in mayImport: say what it may import", p.path)
			continue
		}
		for _, imp := range p.imports {
			dep, ours := strings.CutPrefix(imp, "mayfly/")
			if ours && !allowed(mayImport[rule], dep) {
				t.Errorf("%s imports %s: the rule %q allows only %q", p.path, imp, rule, mayImport[rule])
			}
		}
	}
}

func allowed(rule []string, dep string) bool {
	for _, r := range rule {
		if r == "" || dep == r || strings.HasSuffix(r, "/") && strings.HasPrefix(dep, r) {
			return true
		}
	}
	return false
}

// The binary that people trust holds no test server and no testing code.
func TestBinaryHoldsNoTestCode(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "-deps", "mayfly/cmd/mayfly") {
		name := p.path[strings.LastIndex(p.path, "/")+1:]
		ours := strings.HasPrefix(p.path, "mayfly/")
		if ours && strings.HasSuffix(name, "test") || p.path == "testing" || p.path == "net/http/httptest" {
			t.Errorf("cmd/mayfly depends on %s", p.path)
		}
	}
}

// Clients of AWS are built in one place, which thereby also says what the
// role's policy must hold.
func TestOnlyCloudBuildsClients(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "mayfly/...") {
		self := strings.TrimPrefix(p.path, "mayfly/")
		if self == "internal/cloud" || strings.HasSuffix(self, "test") || self == "e2e" || self == "bench" {
			continue
		}
		for _, imp := range p.imports {
			isService := strings.HasPrefix(imp, "github.com/aws/aws-sdk-go-v2/service/")
			store := self == "internal/store" && (imp == "github.com/aws/aws-sdk-go-v2/service/s3" || strings.HasPrefix(imp, "github.com/aws/aws-sdk-go-v2/service/s3/"))
			if isService && !store {
				t.Errorf("%s imports %s: only internal/cloud talks to AWS (and internal/store to S3)", p.path, imp)
			}
		}
	}
}

// What ends the machine is reachable from the program alone: no job, no test
// server, no other command has it.
func TestOnlyMayflyEndsMachines(t *testing.T) {
	t.Parallel()
	found := false
	for _, p := range list(t, "mayfly/...") {
		for _, imp := range p.imports {
			if imp != "mayfly/internal/ending" {
				continue
			}
			found = true
			if p.path != "mayfly/cmd/mayfly" {
				t.Errorf("%s imports internal/ending: only cmd/mayfly may", p.path)
			}
		}
	}
	if !found {
		t.Error("nothing imports internal/ending: this test tests nothing")
	}
}
