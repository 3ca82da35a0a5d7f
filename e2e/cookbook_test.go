//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"mayfly/internal/awstest"
	"mayfly/internal/gittest"
)

// recipe is a config of docs/cookbook.md, the one below a heading, with other
// addresses in it: each must be there.
func recipe(t *testing.T, heading string, replace ...string) string {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "cookbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(doc), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("the cookbook has no %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(section)
	if block == nil {
		t.Fatalf("%q has no config", heading)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(block[1], replace[i]) {
			t.Fatalf("%q does not say %q", heading, replace[i])
		}
		block[1] = strings.ReplaceAll(block[1], replace[i], replace[i+1])
	}
	return block[1]
}

// kitchen is a world for recipes of a deployment.
func kitchen(t *testing.T, name string) *world {
	t.Helper()
	w := newWorld(t).versity()
	w.aws.Topics = append(w.aws.Topics, awstest.TopicARN(name))
	return w
}

// keptIn finds the only folder of artifacts below a prefix, in the bucket.
func (w *world) keptIn(prefix string) string {
	w.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(w.s3dir, runBucket, prefix, "2*Z"))
	if err != nil || len(dirs) != 1 {
		w.t.Fatalf("artifacts in %v, %v", dirs, err)
	}
	return dirs[0]
}

// TestCookbookEveryRecipe keeps recipes from being added without a test.
func TestCookbookEveryRecipe(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "cookbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(doc), "```yaml\n"); n != 4 {
		t.Errorf("the cookbook has %d configs, four are tested here", n)
	}
}

// A postgres is a server with a database shop, for the user backup.
type postgres struct {
	dir, bin, port, password string
	who                      *syscall.Credential
}

func newPostgres(t *testing.T) *postgres {
	t.Helper()
	needRoot(t)
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	u, err := user.Lookup("postgres")
	if err != nil || len(bins) == 0 {
		t.Fatalf("no PostgreSQL (%v): run e2e/install.sh first", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	dir, err := os.MkdirTemp("/tmp", "mayfly-e2e-pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	p := &postgres{dir: dir, bin: bins[len(bins)-1], port: port, password: "pg 'secret' + pässword/0123456789", who: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	secret := filepath.Join(dir, "password")
	if err := errors.Join(os.WriteFile(secret, []byte(p.password+"\n"), 0o644), os.Chmod(dir, 0o755), os.Chown(dir, uid, gid)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	p.run(t, nil, "initdb", "-D", data, "-U", "backup", "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync")
	server := exec.Command(filepath.Join(p.bin, "postgres"), "-D", data, "-p", port, "-h", "127.0.0.1", "-k", dir, "-F")
	server.SysProcAttr = &syscall.SysProcAttr{Credential: p.who, Pdeathsig: syscall.SIGQUIT}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT)
		server.Wait()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c := exec.Command(filepath.Join(p.bin, "pg_isready"), "-h", "127.0.0.1", "-p", port)
		if c.Run() == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("PostgreSQL does not start")
		}
	}
	p.run(t, nil, "createdb", "-h", "127.0.0.1", "-p", port, "-U", "backup", "shop")
	return p
}

func (p *postgres) run(t *testing.T, stdin []byte, program string, args ...string) string {
	t.Helper()
	c := exec.Command(filepath.Join(p.bin, program), args...)
	c.Env = []string{"PGPASSWORD=" + p.password, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	c.Dir, c.Stdin = "/", bytes.NewReader(stdin)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: p.who}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

func TestCookbookDatabase(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	sql := func(db, text string) string {
		return p.run(t, []byte(text), "psql", "-h", "127.0.0.1", "-p", p.port, "-U", "backup", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", db)
	}
	sql("shop", "create table orders (id serial primary key, what text); insert into orders (what) select 'thing ' || n from generate_series(1, 5000) n; insert into orders (what) values ('Ümläut')")
	w := kitchen(t, "dumps")
	w.aws.Parameters["/dumps/shop-password"] = p.password
	config := recipe(t, "Dump a database", "s3://example-dumps", s3Store, "db.example.com", "127.0.0.1", `"5432"`, `"`+p.port+`"`)
	r := w.run(config)
	if r.code != 0 {
		t.Fatalf("the run: %s", r)
	}
	has(t, "the report", r.out, "dumps complete.", "shop     1 command: 1 done", "aws s3 cp --recursive "+s3Store+"/shop/2")
	kept := w.keptIn("deep/shop")
	if b, err := os.ReadFile(filepath.Join(kept, "contents.txt")); err != nil || !strings.Contains(string(b), "TABLE DATA public orders") {
		t.Errorf("contents.txt: %v\n%s", err, b)
	}
	dump, err := os.ReadFile(filepath.Join(kept, "shop.dump"))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(p.dir, "shop.dump")
	if err := os.WriteFile(copied, dump, 0o644); err != nil {
		t.Fatal(err)
	}
	p.run(t, nil, "createdb", "-h", "127.0.0.1", "-p", p.port, "-U", "backup", "again")
	p.run(t, nil, "pg_restore", "-h", "127.0.0.1", "-p", p.port, "-U", "backup", "--dbname=again", copied)
	const digest = "select count(*), md5(string_agg(id || what, ',' order by id)) from orders"
	if was, is := sql("shop", digest), sql("again", digest); was != is || !strings.HasPrefix(was, "5001|") {
		t.Errorf("the database was %s and came back as %s", was, is)
	}

	// With a wrong password nothing is kept, and the password does not show.
	time.Sleep(time.Second) // a run is named after its second
	w.aws.Parameters["/dumps/shop-password"] = "wrong-password-0123"
	r = w.run(config)
	if r.code != 1 {
		t.Errorf("with a wrong password: %s", r)
	}
	has(t, "the report", r.out, "dumps failed.", "run shop: exit status 1", "password authentication failed")
	w.keptIn("deep/shop") // that of before, and no other
	if strings.Contains(r.out+r.err, "wrong-password") || strings.Contains(r.out+r.err, "pässword") {
		t.Errorf("the password is shown:\n%s", r)
	}
}

func TestCookbookWebsite(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"/": `<html><link rel="stylesheet" href="style.css"><a href="/sub/page.html">a</a></html>`, "/style.css": "body {}",
		"/sub/page.html": `<html><img src="/photo.png"></html>`, "/photo.png": "PNG", "/robots.txt": "User-agent: *\n",
	}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(rw, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/") || strings.HasSuffix(r.URL.Path, "html") {
			rw.Header().Set("Content-Type", "text/html")
		}
		fmt.Fprint(rw, text)
	}))
	defer srv.Close()
	needRoot(t) // memory is limited
	w := kitchen(t, "mirror")
	config := recipe(t, "Mirror a website", "s3://example-mirror", s3Store, "https://www.example.com", srv.URL)
	r := w.run(config)
	if r.code != 0 {
		t.Fatalf("the run: %s", r)
	}
	kept := w.keptIn("deep/website")
	for _, f := range []string{"index.html", "style.css", "sub/page.html", "photo.png"} {
		if _, err := os.Stat(filepath.Join(kept, f)); err != nil {
			t.Error(err)
		}
	}
	delete(pages, "/photo.png")
	time.Sleep(time.Second)
	r = w.run(config)
	has(t, "the report", r.out, "mirror failed.", "exit status 8", "photo.png", "404")
	w.keptIn("deep/website")
}

// tlsServer has a certificate that ends then.
func tlsServer(t *testing.T, ends time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = c.(*tls.Conn).Handshake()
				_, _ = c.Read(make([]byte, 1))
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestCookbookCertificates(t *testing.T) {
	t.Parallel()
	good, soon := tlsServer(t, time.Now().Add(60*24*time.Hour)), tlsServer(t, time.Now().Add(5*24*time.Hour))
	w := kitchen(t, "certificates")
	run := func(one, other string) result {
		t.Helper()
		return w.run(recipe(t, "Check certificates", "s3://example-checks", s3Store, "www.example.com:443", one, "mail.example.com:443", other))
	}
	if r := run(good, good); r.code != 0 {
		t.Errorf("good ones: %s", r)
	}
	time.Sleep(time.Second)
	r := run(good, soon)
	if r.code != 1 {
		t.Errorf("one that ends soon: %s", r)
	}
	has(t, "the report", r.out, "certificates failed.", "exit status 1", soon+": its certificate ends soon")
	if strings.Contains(r.out, good+": its certificate") {
		t.Errorf("the good one is named too:\n%s", r.out)
	}
	time.Sleep(time.Second)
	r = run("127.0.0.1:1", good)
	has(t, "the report", r.out, "certificates failed.", "127.0.0.1:1: its certificate ends soon, or there is none")
}

// A script of the kind that people have: it is sourced, writes to $logfile,
// and returns.
const sourcedScript = `#!/usr/bin/env bash
work=/tmp/%[1]s
rm -rf "$work" && mkdir -p "$work/zips" || { echo "no place to work" >> "$logfile"; return 1; }
cd "$work"
names=$(curl -s %[2]s/users/octo/repos | sed -n 's/.*"svn_url": *"\([^"]*\)".*/\1/p')
for url in $names; do
  name=${url##*/}
  echo "Cloning $url" >> "$logfile"
  said=$(git clone -q "$url.git" 2>&1)
  if [ $? != 0 ]; then
    echo "$said" >> "$logfile"
    return 1
  fi
  wiki=$(git clone -q "$url.wiki.git" 2>&1) || echo "$wiki" | grep -q 'not found' || return 1
  zip -qr "$work/zips/$name.zip" "$name" || return 1
done
touch "$work/zips/$(date +%%Y-%%m-%%d).txt"
aws s3 sync "$work/zips" s3://backups/github_backups --delete --exclude "*" --include "*.zip" --include "*.txt" >> "$logfile"
if [ $? != 0 ]; then
  echo "Sync Error" >> "$logfile"; return 1
fi
echo "Finished Sync" >> "$logfile"
rm -rf "$work"
return 0
`

func TestCookbookOwnScript(t *testing.T) {
	t.Parallel()
	w := kitchen(t, "onlinebackup")
	repos := filepath.Join(w.dir, "repos")
	list := ""
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/users/octo/repos" {
			fmt.Fprint(rw, list)
			return
		}
		http.FileServer(http.Dir(repos)).ServeHTTP(rw, r)
	}))
	defer srv.Close()
	for _, name := range []string{"one", "two"} {
		bare := filepath.Join(repos, "octo", name+".git")
		if err := errors.Join(os.MkdirAll(filepath.Dir(bare), 0o755), gittest.Repo(bare, gittest.Normal)); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("git", "-C", bare, "update-server-info").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		list += fmt.Sprintf("{\n  \"name\": %q,\n  \"svn_url\": \"%s/octo/%s\",\n}\n", name, srv.URL, name)
	}
	put := func(key, text string) {
		t.Helper()
		bucket := runBucket
		if _, err := w.client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(text)}); err != nil {
			t.Fatal(err)
		}
	}
	work := "mayfly-e2e-" + unique()
	put("admin/init_scripts/github_backup.sh", fmt.Sprintf(sourcedScript, work, srv.URL))
	put("github_backups/gone.zip", "of a repository that is gone")
	w.extra = []string{"PATH=" + filepath.Join(moduleRoot(t), ".e2e", "venv", "bin") + ":" + os.Getenv("PATH")}
	config := recipe(t, "A script that you have already", "onlinebackupbucket", runBucket)
	r := w.run(config)
	if r.code != 0 {
		t.Fatalf("the run: %s", r)
	}
	has(t, "the report", r.out, "onlinebackup complete.", "github   1 command: 1 done")
	_, mail := w.mail()
	has(t, "the mail", mail, "| Cloning "+srv.URL+"/octo/one", "| Finished Sync")
	var names []string
	for _, f := range filesBelow(t, filepath.Join(w.s3dir, runBucket, "github_backups")) {
		names = append(names, filepath.Base(f))
	}
	if got := strings.Join(names, " "); !strings.Contains(got, ".txt one.zip two.zip") || strings.Contains(got, "gone") {
		t.Errorf("in the bucket: %s", got)
	}

	// A clone that fails is that script's status, and so the job's.
	if err := os.RemoveAll(filepath.Join(repos, "octo", "two.git")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	r = w.run(config)
	os.RemoveAll("/tmp/" + work)
	if r.code != 1 {
		t.Errorf("without a repository: %s", r)
	}
	has(t, "the report", r.out, "onlinebackup failed.", "exit status 1", "Cloning "+srv.URL+"/octo/two", "not found")
}
