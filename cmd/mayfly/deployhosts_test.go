package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"mayfly/internal/cloud"
	"mayfly/runner"
)

// A lateEC2 makes volumes and does not list them yet. As EC2 does, it makes one
// for each token.
type lateEC2 struct {
	t       *testing.T
	mu      sync.Mutex
	made    map[string]string // ids, by token
	gone    bool              // what was made has been deleted
	resized []string
}

func (e *lateEC2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		e.t.Error(err)
	}
	f := r.PostForm
	switch action := f.Get("Action"); {
	case action == "CreateVolume":
		token := f.Get("ClientToken")
		if e.made[token] == "" {
			e.made[token] = fmt.Sprintf("vol-%017x", len(e.made)+1)
		}
		fmt.Fprintf(w, "<CreateVolumeResponse><volumeId>%s</volumeId></CreateVolumeResponse>", e.made[token])
	case action == "DescribeVolumes" && f.Has("VolumeId.1") && e.gone:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, "<Response><Errors><Error><Code>InvalidVolume.NotFound</Code><Message>The volume does not exist.</Message></Error></Errors></Response>")
	case action == "DescribeVolumes" && f.Has("VolumeId.1"):
		fmt.Fprintf(w, "<DescribeVolumesResponse><volumeSet><item><volumeId>%s</volumeId><size>20</size><availabilityZone>eu-west-1b</availabilityZone><status>available</status></item></volumeSet></DescribeVolumesResponse>", f.Get("VolumeId.1"))
	case action == "DescribeVolumes":
		fmt.Fprint(w, "<DescribeVolumesResponse><volumeSet/></DescribeVolumesResponse>")
	case action == "ModifyVolume":
		e.resized = append(e.resized, f.Get("VolumeId")+" "+f.Get("Size"))
		fmt.Fprint(w, "<ModifyVolumeResponse><volumeModification/></ModifyVolumeResponse>")
	default:
		e.t.Errorf("asked for %s", action)
	}
}

// Two deploys, of which the first was cut off before EC2 listed what it had
// made, make one volume for each host.
func TestMakeVolumesOnce(t *testing.T) {
	t.Parallel()
	ec2 := &lateEC2{t: t, made: map[string]string{}}
	srv := httptest.NewServer(ec2)
	defer srv.Close()
	env := map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": srv.URL, "AWS_EC2_METADATA_DISABLED": "true"}
	aws, err := cloud.Load(t.Context(), cloud.Options{Getenv: func(k string) string { return env[k] }, MaxBackoff: 1})
	if err != nil {
		t.Fatal(err)
	}
	client, err := aws.EC2()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	a := &app{stderr: &said}
	deploy := func(volumes ...hostVolume) ([]hostVolume, error) {
		s := &survey{config: &runner.Config{Name: "hosts"}, aws: services{Cloud: aws, ec2: client}, zone: "eu-west-1b", volumes: volumes}
		return s.volumes, a.makeVolumes(t.Context(), s)
	}
	first, err := deploy(in("web", ""), in("db", ""))
	if err != nil {
		t.Fatal(err)
	}
	again, err := deploy(in("web", ""), in("db", ""))
	if err != nil {
		t.Fatal(err)
	}
	if len(ec2.made) != 2 || first[0].now.ID != again[0].now.ID || first[1].now.ID != again[1].now.ID || first[0].now.ID == first[1].now.ID {
		t.Errorf("made %v; web has %s and %s", ec2.made, first[0].now.ID, again[0].now.ID)
	}
	small := in("web", "eu-west-1b")
	small.need.GiB, small.grow = 50, true
	if _, err := deploy(small, in("db", "eu-west-1b")); err != nil || strings.Join(ec2.resized, ",") != "vol-web 50" {
		t.Errorf("resized %q: %v", ec2.resized, err)
	}
	if !strings.Contains(said.String(), "Enlarges vol-web, the volume of the host web, from 20 to 50 GiB") {
		t.Errorf("it says %q", &said)
	}
	ec2.gone = true
	if _, err = deploy(in("web", "")); err == nil || !strings.Contains(err.Error(), "mayfly volume create --host web --size 20 --type gp3 --zone eu-west-1b creates another") {
		t.Errorf("a volume that was deleted: %v", err)
	}
}
