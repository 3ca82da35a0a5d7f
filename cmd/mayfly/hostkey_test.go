package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mayfly/internal/cloud"
	"mayfly/internal/secret"
	"mayfly/runner"
)

// A parameterStore is Systems Manager as far as host keys need it. What is
// denied cannot be read.
type parameterStore struct {
	t             *testing.T
	kinds, values map[string]string
	denied        string
	puts          int
}

func (p *parameterStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name, Value, Type string
		SecretId          string
		Overwrite         bool
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		p.t.Error(err)
	}
	fail := func(code string) {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "said so"})
	}
	value, there := p.values[in.Name]
	switch r.Header.Get("X-Amz-Target") {
	case "secretsmanager.GetSecretValue":
		switch value, there := p.values[in.SecretId]; {
		case in.SecretId == p.denied:
			fail("AccessDeniedException")
		case !there:
			fail("ResourceNotFoundException")
		default:
			json.NewEncoder(w).Encode(map[string]any{"Name": in.SecretId, "SecretString": value})
		}
	case "AmazonSSM.GetParameter":
		switch {
		case in.Name == p.denied:
			fail("AccessDeniedException")
		case !there:
			fail("ParameterNotFound")
		default:
			json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]any{"Name": in.Name, "Type": p.kinds[in.Name], "Value": value}})
		}
	case "AmazonSSM.PutParameter":
		if there && !in.Overwrite {
			fail("ParameterAlreadyExists")
			return
		}
		p.puts++
		p.values[in.Name], p.kinds[in.Name] = in.Value, in.Type
		json.NewEncoder(w).Encode(map[string]any{"Version": 1})
	default:
		p.t.Errorf("asked for %s", r.Header.Get("X-Amz-Target"))
	}
}

// TestMakeHostKey has every state in which a deploy that was cut off, or
// somebody, can have left the two halves.
func TestMakeHostKey(t *testing.T) {
	t.Parallel()
	const name, pub = "/hosts/host-key", "/hosts/host-key" + runner.PublicKeySuffix
	old, oldKey, err := newHostKey("hosts")
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := newHostKey("hosts")
	if err != nil {
		t.Fatal(err)
	}
	public, others := keyText(oldKey)+" mayfly-hosts", keyText(otherKey)+" mayfly-hosts"
	for what, c := range map[string]struct {
		private, public string
		late            bool // the private half has come since the look
		denied          string
		puts            int
		says, fails     string
	}{
		"nothing":                        {puts: 2, says: "Made the host key ssm:" + name},
		"cut off between":                {private: old.Reveal(), puts: 1, says: "Put the public half of the host key at " + pub + ".\n"},
		"all":                            {private: old.Reveal(), public: public},
		"all, with another comment":      {private: old.Reveal(), public: keyText(oldKey)},
		"another's public half":          {private: old.Reveal(), public: others, puts: 1, says: "anew: what was there was another key's"},
		"no key":                         {private: old.Reveal(), public: "x", puts: 1, says: "anew"},
		"made meanwhile":                 {private: old.Reveal(), late: true, puts: 1, says: "Put the public half"},
		"may not be read":                {private: old.Reveal(), public: public, denied: name, says: "which you may not read"},
		"may not be read, and no public": {private: old.Reveal(), denied: name, fails: "cannot be made: ssm:GetParameter"},
		"may not be read, nor is there":  {public: public, denied: name, says: "which you may not read"},
		"is none":                        {private: "-----BEGIN OPENSSH PRIVATE KEY-----\nSECRETSECRET\n-----END", public: public, fails: "it is no ed25519 key in OpenSSH's form"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			store := &parameterStore{t: t, kinds: map[string]string{}, values: map[string]string{}, denied: c.denied}
			for n, v := range map[string]string{name: c.private, pub: c.public} {
				if v != "" {
					store.values[n], store.kinds[n] = v, "was"
				}
			}
			srv := httptest.NewServer(store)
			defer srv.Close()
			env := map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": srv.URL, "AWS_EC2_METADATA_DISABLED": "true"}
			getenv := func(k string) string { return env[k] }
			aws, err := cloud.Load(t.Context(), cloud.Options{Getenv: getenv})
			if err != nil {
				t.Fatal(err)
			}
			ref, err := secret.ParseRef("ssm:" + name)
			if err != nil {
				t.Fatal(err)
			}
			config := &runner.Config{Name: "hosts"}
			s := &survey{
				config: config, world: newWorld(config, getenv), aws: services{Cloud: aws}, region: "eu-west-1",
				hostKeys: []hostKey{{ref: ref}}, secrets: []neededSecret{{ref: ref}},
			}
			var said bytes.Buffer
			a := &app{stderr: &said, stdout: &said, getenv: getenv}
			look := s.lookSecrets
			if c.late {
				look = s.lookHostKeys
			}
			if err := look(t.Context()); err != nil {
				t.Fatal(err)
			}
			err = a.makeHostKeys(t.Context(), s)
			if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Fatalf("%v, want %q", err, c.fails)
			}
			if err != nil {
				said.WriteString(err.Error())
			}
			if !strings.Contains(said.String(), c.says) || strings.Contains(said.String(), "PRIVATE") || strings.Contains(said.String(), "SECRETSECRET") {
				t.Errorf("it says %q, want %q", said.String(), c.says)
			}
			if store.puts != c.puts {
				t.Errorf("%d parameters were put, want %d", store.puts, c.puts)
			}
			if c.private != "" && store.values[name] != c.private {
				t.Error("the private half was replaced")
			}
			if c.fails != "" {
				return
			}
			key := s.hostKeys[0].key
			if c.private == "" && c.denied != "" {
				return
			}
			if store.values[pub] == "" || !strings.HasPrefix(store.values[pub], keyText(key)) || c.private != "" && keyText(key) != keyText(oldKey) {
				t.Errorf("the public half is %q", store.values[pub])
			}
			if c.private == "" && (store.kinds[name] != "SecureString" || store.kinds[pub] != "String") {
				t.Errorf("kinds %v", store.kinds)
			}
			if c.denied == "" {
				if private, err := publicHalf(secret.New(store.values[name])); err != nil || keyText(private) != keyText(key) {
					t.Errorf("%v: the halves are of two keys", err)
				}
			}
		})
	}
}

// A host key that deploy does not make is looked at all the same.
func TestHostKeyElsewhere(t *testing.T) {
	t.Parallel()
	good, key, err := newHostKey("hosts")
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		ref, value, denied string
		problem, note      string
	}{
		"good":    {ref: "secretsmanager:k", value: good.Reveal()},
		"missing": {ref: "secretsmanager:other", problem: "the host key secretsmanager:other cannot be read: secretsmanager:GetSecretValue other: it does not exist"},
		"no key":  {ref: "secretsmanager:k", value: "SECRETSECRET", problem: "it is no ed25519 key in OpenSSH's form"},
		"denied":  {ref: "secretsmanager:k", value: good.Reveal(), denied: "k", note: "nobody has looked at it"},
		"file":    {ref: "file:/etc/host-key", note: "their image has to bring it"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(&parameterStore{t: t, kinds: map[string]string{}, values: map[string]string{"k": c.value}, denied: c.denied})
			defer srv.Close()
			env := map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": srv.URL, "AWS_EC2_METADATA_DISABLED": "true"}
			getenv := func(k string) string { return env[k] }
			aws, err := cloud.Load(t.Context(), cloud.Options{Getenv: getenv})
			if err != nil {
				t.Fatal(err)
			}
			ref, err := secret.ParseRef(c.ref)
			if err != nil {
				t.Fatal(err)
			}
			config := &runner.Config{Name: "hosts"}
			s := &survey{config: config, world: newWorld(config, getenv), aws: services{Cloud: aws}, region: "eu-west-1", hostKeys: []hostKey{{ref: ref}}}
			if err := s.lookHostKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			problems, notes := fmt.Sprint(errors.Join(s.problems...)), strings.Join(s.notes, "\n")
			if (c.problem != "") != (len(s.problems) > 0) || !strings.Contains(problems, c.problem) || (c.note != "") != (notes != "") || !strings.Contains(notes, c.note) {
				t.Errorf("problems %q, notes %q", problems, notes)
			}
			if strings.Contains(problems, "SECRETSECRET") {
				t.Errorf("%q shows the secret", problems)
			}
			if got := s.hostKeys[0].key; (what == "good") != (got != nil) || got != nil && keyText(got) != keyText(key) {
				t.Errorf("the key is %v", got)
			}
		})
	}
}
