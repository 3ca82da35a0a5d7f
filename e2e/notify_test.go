//go:build e2e

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mayfly/runner"
)

// TestWhoIsTold runs the binary with a ping and a webhook, against services that
// take down what they hear: a run that is complete, one that fails, one whose
// webhook is down.
func TestWhoIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, run string
		down      bool // the webhook
		code      int
		pings     string
		verdict   runner.Verdict
	}{
		{"complete", "echo well", false, 0, "/check-uuid/start /check-uuid", runner.VerdictComplete},
		{"failed", "echo the disk is on fire; exit 3", false, 1, "/check-uuid/start /check-uuid/fail", runner.VerdictFailed},
		{"webhook down", "echo well", true, 3, "/check-uuid/start /check-uuid/fail", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var pings, rids []string
			var said string
			var posted []byte
			var signature string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case r.URL.Path == "/hook-secret" && tt.down:
					w.WriteHeader(http.StatusBadRequest)
				case r.URL.Path == "/hook-secret":
					posted, signature = b, r.Header.Get("X-Mayfly-Signature-256")
				default:
					pings, rids, said = append(pings, r.URL.Path), append(rids, r.URL.Query().Get("rid")), string(b)
				}
			}))
			defer srv.Close()
			dir := t.TempDir()
			config := filepath.Join(dir, "mayfly.yaml")
			text := fmt.Sprintf(`name: told
store: file://%s/store
notify:
  ping: env:PING
  webhook: {url: env:HOOK, secret: env:HOOK_KEY}
jobs:
  - name: work
    command: {run: %q}
`, dir, tt.run)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(moduleRoot(t), "bin", "mayfly"), "run", "-c", config)
			cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true", "PING="+srv.URL+"/check-uuid", "HOOK="+srv.URL+"/hook-secret", "HOOK_KEY=key of the hook")
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != tt.code {
				t.Errorf("exit code %d, %v:\n%s", cmd.ProcessState.ExitCode(), err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(pings, " "); got != tt.pings || rids[0] == "" || rids[0] != rids[len(rids)-1] {
				t.Errorf("pings %s with %q", got, rids)
			}
			has(t, "the last ping", said, "mayfly told: ", "told ")
			if strings.Contains(string(out), "check-uuid") || strings.Contains(string(out), "hook-secret") {
				t.Errorf("an address is printed:\n%s", out)
			}
			if tt.down {
				has(t, "the report", string(out), "told partial", "tell the webhook: the server answers 400")
				return
			}
			mac := hmac.New(sha256.New, []byte("key of the hook"))
			mac.Write(posted)
			if signature != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
				t.Errorf("the signature %s is not that of the body", signature)
			}
			var report runner.Report
			if err := json.Unmarshal(posted, &report); err != nil || report.Verdict != tt.verdict || len(report.Jobs) != 1 {
				t.Errorf("%v: posted %s", err, posted)
			}
			if tt.verdict == runner.VerdictFailed {
				has(t, "the report", string(out), "exit status 3", "| the disk is on fire")
				has(t, "what was posted", string(posted), "the disk is on fire", `"exit_status": 3`)
			}
		})
	}
}
