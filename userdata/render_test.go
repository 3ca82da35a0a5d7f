package userdata

import (
	"bytes"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata")

// weekly is the smallest deployment; full has every value set.
func weekly() Values {
	return Values{
		Name: "onlinebackup", Region: "eu-west-1", Store: Store{Bucket: "onlinebackupbucket"},
		Config:    strings.Repeat("c0", 32),
		Binaries:  map[string]string{"amd64": strings.Repeat("a6", 32), "arm64": strings.Repeat("a4", 32)},
		TopicName: "onlinebackup", Deadline: 2 * time.Hour,
	}
}

func full() Values {
	v := weekly()
	v.Store = Store{Bucket: "backups", Prefix: "team a/it's", Endpoint: "https://minio.example.com:9000/", Region: "eu-central-1"}
	v.BinaryURL = "https://example.com/v1/mayfly-linux-{arch}"
	v.Topic, v.TopicName = "arn:aws:sns:eu-north-1:123456789012:backups", ""
	v.KeepOnFailure = 30 * time.Minute
	v.Packages = []string{"rsync", "openssh-server", "libstdc++6"}
	v.Environment = map[string]string{
		"AWS_ENDPOINT_URL": "http://10.0.2.2:4000", "AWS_ENDPOINT_URL_SNS": "http://10.0.2.2:4001/",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://10.0.2.2:4002",
	}
	return v
}

// hosts is a deployment that hosts push to.
func hosts() Values {
	v := weekly()
	v.Packages, v.NoSSH = []string{"e2fsprogs", "rsync", "util-linux", "xfsprogs"}, true
	return v
}

// TestGolden shows what changes in the user data when the scripts or the
// values do: go test ./userdata -update.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]Values{"weekly": weekly(), "full": full(), "hosts": hosts()} {
		got, err := Render(v)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".mime")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is another by now: look at what go test ./userdata -update changes in it", file)
		}
	}
}

// No SSH server of the machine's own is left on one that hosts push to: masked
// early, after the power-off is armed; and nowhere else is one touched.
func TestNoSSH(t *testing.T) {
	t.Parallel()
	v := full()
	v.NoSSH = true
	with, err := Render(v) // what is largest fits
	if err != nil {
		t.Fatal(err)
	}
	arm, mute, boot := bytes.Index(with, []byte("systemd-run")), bytes.Index(with, []byte("systemctl --no-reload mask")), bytes.Index(with, []byte("x-shellscript"))
	if arm < 0 || mute < arm || boot < mute {
		t.Errorf("armed at %d, muted at %d, booted at %d", arm, mute, boot)
	}
	v.NoSSH = false
	without, err := Render(v)
	if err != nil || bytes.Contains(without, []byte("ssh.service")) {
		t.Errorf("an SSH server is switched off that nobody wanted off: %v", err)
	}
}

// parts reads user data as cloud-init does.
func parts(t *testing.T, data []byte) map[string]string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		found[kind] = string(b)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	data, err := Render(full())
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > MaxSize-512 {
		t.Errorf("%d bytes leave too little of %d for longer values", len(data), MaxSize)
	}
	p := parts(t, data)
	if len(p) != 2 {
		t.Fatalf("%d parts", len(p))
	}
	for kind, contains := range map[string]string{"text/cloud-boothook": "\narm() {", "text/x-shellscript": "\nmain() {"} {
		if !strings.HasPrefix(p[kind], "#!/bin/sh\nroot=''\n") || !strings.Contains(p[kind], contains) {
			t.Errorf("%s begins with %.60q", kind, p[kind])
		}
	}
	for i, b := range data {
		if b >= 0x80 || b < ' ' && b != '\n' && b != '\t' {
			t.Fatalf("byte %d is %#x: the parts say us-ascii", i, b)
		}
	}
	// systemd would expand these in the argument that carries it.
	if strings.ContainsAny(offScript, "$%'") {
		t.Error("off.sh has a character that systemd or the quoting would change")
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, tt := range []struct {
		store            Store
		env              map[string]string
		host, path, endp string
	}{
		{store: Store{Bucket: "b"}, host: "b."},
		{store: Store{Bucket: "b", Prefix: "p/q"}, host: "b.", path: "/p/q"},
		{store: Store{Bucket: "b.c"}, path: "/b.c"},
		{store: Store{Bucket: "b", PathStyle: &yes}, path: "/b"},
		{store: Store{Bucket: "b", Prefix: "a=b (c)+@,'*!"}, host: "b.", path: "/a%3Db%20%28c%29%2B%40%2C%27%2A%21"},
		{store: Store{Bucket: "b", Endpoint: "https://h:1/"}, path: "/b", endp: "https://h:1"},
		{store: Store{Bucket: "b", Endpoint: "https://h/base", PathStyle: &no}, endp: "https://b.h/base"},
		{store: Store{Bucket: "b"}, env: map[string]string{"AWS_ENDPOINT_URL": "http://all"}, path: "/b", endp: "http://all"},
		{
			store: Store{Bucket: "b"}, env: map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3"},
			path: "/b", endp: "http://s3",
		},
		{store: Store{Bucket: "b", Endpoint: "http://own"}, env: map[string]string{"AWS_ENDPOINT_URL_S3": "http://s3"}, path: "/b", endp: "http://own"},
	} {
		host, path, endp := tt.store.place(tt.env)
		if host != tt.host || path != tt.path || endp != tt.endp {
			t.Errorf("%+v: %q %q %q, want %q %q %q", tt.store, host, path, endp, tt.host, tt.path, tt.endp)
		}
	}
}

func TestRefusedValues(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Values){
		"not a deployment's name":     func(v *Values) { v.Name = "x\n--=====mayfly=====" },
		"not a region":                func(v *Values) { v.Region = "eu west" },
		"not a bucket":                func(v *Values) { v.Store.Bucket = "'; reboot; '" },
		"not a prefix":                func(v *Values) { v.Store.Prefix = "a\nb" },
		"is not a prefix":             func(v *Values) { v.Store.Prefix = "/a" },
		"not a SHA-256 of a config":   func(v *Values) { v.Config = "abc" },
		"no mayfly for any":           func(v *Values) { v.Binaries = nil },
		"not an architecture":         func(v *Values) { v.Binaries["riscv64"] = v.Config },
		"not a SHA-256 of mayfly":     func(v *Values) { v.Binaries["arm64"] = strings.Repeat("g", 64) },
		"not the ARN of a topic":      func(v *Values) { v.Topic = "backups" },
		"not the name of a topic":     func(v *Values) { v.TopicName = "back ups" },
		"a deadline of 0s cannot be":  func(v *Values) { v.Deadline = 0 },
		"cannot be how long":          func(v *Values) { v.KeepOnFailure = -1 },
		"not the name of a package":   func(v *Values) { v.Packages = []string{"--installroot=/"} },
		"not a variable":              func(v *Values) { v.Environment = map[string]string{"LD_PRELOAD": "https://a"} },
		"URL_S3=\"https://a\\\"":      func(v *Values) { v.Environment = map[string]string{"AWS_ENDPOINT_URL_S3": "https://a\"\nB=\""} },
		"\"ftp://a\" is not an":       func(v *Values) { v.Store.Endpoint = "ftp://a" },
		"\"http://example.com/\" is":  func(v *Values) { v.BinaryURL = "http://example.com/" },
		"\"https://me:pw@example.com": func(v *Values) { v.BinaryURL = "https://me:pw@example.com/m" },
		"shorten the list of packages": func(v *Values) {
			for range 300 {
				v.Packages = append(v.Packages, "package-of-some-length")
			}
		},
	} {
		v := full()
		change(&v)
		if _, err := Render(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
}
