//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An awsProcess runs aws commands, one after the other, until this process
// ends; the zero value is one that has not been started.
type awsProcess struct {
	in  io.Writer
	out *bufio.Reader
}

// awsProcesses are those that have nothing to do.
var awsProcesses = make(chan *awsProcess, 2)

func init() {
	for range cap(awsProcesses) {
		awsProcesses <- &awsProcess{}
	}
}

// runAWS runs the aws command with no other environment.
func runAWS(root string, env map[string]string, args ...string) (result, error) {
	p := <-awsProcesses
	r, err := p.run(root, env, args)
	if err != nil {
		p = &awsProcess{}
	}
	awsProcesses <- p
	return r, err
}

func (p *awsProcess) run(root string, env map[string]string, args []string) (result, error) {
	if p.in == nil {
		c := exec.Command(filepath.Join(root, ".e2e", "venv", "bin", "python3"), filepath.Join(root, "e2e", "awscommands.py"))
		c.Stderr = os.Stderr
		in, err := c.StdinPipe() // which ends with this process, and it with that
		if err != nil {
			return result{}, err
		}
		out, err := c.StdoutPipe()
		if err != nil {
			return result{}, err
		}
		if err := c.Start(); err != nil {
			return result{}, errors.Join(err, errors.New("run e2e/install.sh first"))
		}
		p.in, p.out = in, bufio.NewReader(out)
	}
	var said struct {
		Code     int
		Out, Err string
	}
	err := json.NewEncoder(p.in).Encode(map[string]any{"env": env, "args": args})
	if err == nil {
		var line string
		if line, err = p.out.ReadString('\n'); err == nil {
			err = json.Unmarshal([]byte(line), &said)
		}
	}
	return result{code: said.Code, out: said.Out, err: said.Err}, err
}

// What comes out is what the aws command says, and its exit code.
func TestAWSCommands(t *testing.T) {
	t.Parallel()
	m := newMoto(t)
	env := m.env(m.server, m.admin)
	m.aws("s3api", "create-bucket", "--bucket", "bucket", "--create-bucket-configuration", "LocationConstraint="+motoRegion)
	for _, args := range [][]string{
		{"s3", "cp", "--quiet", filepath.Join(moduleRoot(t), "go.mod"), "s3://bucket/x"},
		{"s3", "cp", "--quiet", "s3://bucket/x", "-"},
		{"s3", "cp", "s3://bucket/y", "-"},
		{"ec2", "nothing"},
		{"sts", "get-caller-identity", "--query", "Arn", "--output", "text"},
	} {
		args = append([]string{"--endpoint-url", m.server}, args...)
		want := m.command(env, m.venv("aws"), args...)
		got, err := runAWS(moduleRoot(t), env, args...)
		if err != nil || got.code != want.code || got.out != want.out || strings.TrimSpace(got.err) != strings.TrimSpace(want.err) {
			t.Errorf("%v: %v: %s, and the command itself %s", args, err, got, want)
		}
	}
}
