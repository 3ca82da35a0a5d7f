package sshd

import (
	"crypto/rsa"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Only what is good today. Clients have had some of each since OpenSSH 6.5 and
// PuTTY 0.68.
var (
	exchanges = []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, "curve25519-sha256@libssh.org", ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256}
	// fastCiphers are offered alone to clients that know them (see greet): the
	// client's order decides, OpenSSH puts chacha20 first, and that has no
	// assembly on amd64 in x/crypto.
	fastCiphers = []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}
	ciphers     = append(append([]string{}, fastCiphers...), ssh.CipherChaCha20Poly1305, ssh.CipherAES256CTR, ssh.CipherAES128CTR)
	macs        = []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512}
	// signatures that a host may log in with.
	signatures = []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
	}
)

// CheckKey says what is wrong with a host's key; nil: nothing.
func CheckKey(k ssh.PublicKey) error {
	if k == nil {
		return errors.New("there is no key")
	}
	switch k.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		c, ok := k.(ssh.CryptoPublicKey)
		if !ok {
			break
		}
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() >= 2048 {
			return nil
		}
		return errors.New("RSA keys need 2048 bits or more: make one with ssh-keygen -t ed25519")
	}
	return fmt.Errorf("keys of the type %s are not taken: make one with ssh-keygen -t ed25519", k.Type())
}

// hostOf is the extension of ssh.Permissions that says whose key it was.
const hostOf = "mayfly-host"

func (s *Server) serverConfig(ciphers []string) *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		Config:                  ssh.Config{KeyExchanges: exchanges, Ciphers: ciphers, MACs: macs},
		PublicKeyAuthAlgorithms: signatures,
		MaxAuthTries:            s.config.Limits.Attempts,
		ServerVersion:           version,
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			h := s.keyOf(key)
			if h == nil {
				return nil, errors.New("the key is no host's")
			}
			// A client may offer keys that it does not have: only what comes
			// back with the connection counts (CVE-2024-45337).
			return &ssh.Permissions{Extensions: map[string]string{hostOf: h.Name, "fingerprint": ssh.FingerprintSHA256(key)}}, nil
		},
	}
	c.AddHostKey(s.config.HostKey)
	return c
}
