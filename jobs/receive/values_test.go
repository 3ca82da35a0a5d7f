package receive

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"mayfly/internal/secret"
)

// newKey makes a private key in OpenSSH's form.
func newKey(t *testing.T, curve bool, passphrase string) string {
	t.Helper()
	var key crypto.PrivateKey
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if curve {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func TestParseHostKey(t *testing.T) {
	t.Parallel()
	if s, err := parseHostKey(secret.New(strings.TrimSpace(newKey(t, false, "")))); err != nil || s.PublicKey().Type() != "ssh-ed25519" {
		t.Errorf("%v", err)
	}
	for text, says := range map[string]string{
		newKey(t, false, "pw"): "locked by a passphrase", newKey(t, true, ""): "its type is", "rubbish": "no private key in OpenSSH's form",
	} {
		_, err := parseHostKey(secret.New(text))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
}
