package runner

import (
	"fmt"
	"strings"
	"time"

	"mayfly/internal/secret"
	"mayfly/internal/strictyaml"
)

// Parse decodes and checks the text of a config; name is what to call it in
// errors. The error holds every mistake at once (strictyaml.Mistakes), each
// with its place and what would be right, and no secret.
func Parse(name string, src []byte, o ParseOptions) (*Config, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	c := new(Config)
	doc := strictyaml.Decode(name, src, c, o.yaml(secret.HideTokens))
	for i := range c.Jobs {
		if c.Jobs[i].Prefix == "" {
			c.Jobs[i].Prefix = Prefix(c.Jobs[i].Name)
		}
	}
	v := checker{c: c, doc: doc, getenv: o.Getenv}
	v.store()
	v.region()
	v.notify()
	v.schedule()
	v.instance()
	v.network()
	v.jobs()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Schema returns the JSON schema (draft 2020-12) of the config, for editors.
func Schema(o ParseOptions) []byte {
	return strictyaml.Schema(Config{}, "mayfly", "The config of one mayfly deployment.", o.yaml(nil))
}

// A checker looks for mistakes that need more than one key to be seen.
type checker struct {
	c      *Config
	doc    *strictyaml.Document
	getenv func(string) string
}

// region must be known for S3 and SNS, from the file or the environment; a
// store with its own endpoint needs none.
func (v checker) region() {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if v.getenv(name) != "" {
			return
		}
	}
	if v.c.Region != "" {
		return
	}
	st := v.c.Store
	endpoint := st.Endpoint != "" || v.getenv("AWS_ENDPOINT_URL_S3") != "" || v.getenv("AWS_ENDPOINT_URL") != ""
	switch {
	case st.IsS3() && st.check() == nil && st.Region == "" && !endpoint:
		v.doc.Add("store", "the region of the bucket is not known", "add region: eu-west-1, or whichever it is, or set AWS_REGION")
	case len(v.c.Notify.Email) > 0:
		v.doc.Add("notify.email", "the region of the topic behind it is not known", "add region: eu-west-1, or whichever it is, or set AWS_REGION")
	}
}

func (v checker) schedule() {
	s := v.c.Schedule
	if v.doc.Has("schedule.timezone") && !v.doc.Has("schedule.start") {
		v.doc.Add("schedule.timezone", "there is no start time that it could be for", "add start, or remove it")
	}
	if v.doc.Has("schedule.start") && !v.doc.Has("schedule.deadline") {
		v.doc.Add("schedule.deadline", "missing", "add deadline: 2h; an instance that starts by itself must end by itself")
	}
	if v.doc.Has("schedule.deadline") && time.Duration(s.Deadline) < 5*time.Minute {
		v.doc.Add("schedule.deadline", "is too short", "give a run at least 5m; what is not needed costs nothing")
	}
	if s.Deadline > 0 && v.c.Keep >= s.Deadline {
		v.doc.Add("keep_on_failure", fmt.Sprintf("is not shorter than the deadline, %s", s.Deadline), "shorten it, or extend schedule.deadline")
	}
}

// jobs checks each kind's own options, and that no two jobs write to the same
// place.
func (v checker) jobs() {
	deadline := v.c.Schedule.Deadline
	names, hosts := map[JobName]int{}, map[string]int{}
	for i, j := range v.c.Jobs {
		path := fmt.Sprintf("jobs[%d]", i)
		if first, dup := names[j.Name]; dup && j.Name != "" {
			v.doc.Add(path+".name", fmt.Sprintf("jobs[%d] has this name too", first), "names are unique: change one")
		} else {
			names[j.Name] = i
		}
		switch {
		case v.doc.Has(path+".timeout") && j.Timeout <= 0:
			v.doc.Add(path+".timeout", "leaves no time", "write it like 1h")
		case deadline > 0 && j.Timeout >= deadline:
			v.doc.Add(path+".timeout", fmt.Sprintf("is not shorter than the deadline, %s", deadline), "shorten it, or extend schedule.deadline")
		}
		v.prefix(i, path)
		if j.Config == nil {
			continue
		}
		if m, ok := j.Config.(Member); ok {
			m.Join(string(v.c.Name), time.Duration(deadline))
		}
		for _, p := range j.Config.Validate() {
			at := path + "." + j.Kind
			if p.Item != "" {
				at += "." + p.Item
			}
			v.doc.Add(at, p.Reason, p.Fix)
		}
		v.hosts(i, path+"."+j.Kind, hosts)
	}
}

// hosts keeps a host to one job: by its name alone its volume and its snapshots
// are known, and what one job keeps, another would delete.
func (v checker) hosts(i int, path string, seen map[string]int) {
	for _, n := range v.c.Jobs[i].Config.Needs().Volumes {
		if first, dup := seen[n.Host]; dup && first != i {
			v.doc.Add(path+".hosts."+n.Host, fmt.Sprintf("jobs[%d] has a host of this name too, by which its volume and its snapshots are known", first), "give one another name, or keep it in one job")
			continue
		}
		seen[n.Host] = i
	}
}

// prefix keeps jobs out of each other's way and out of mayfly's own folders.
func (v checker) prefix(i int, path string) {
	own := strings.ToLower(string(v.c.Jobs[i].Prefix))
	if own == "" {
		return
	}
	at, change := path+".prefix", "write another prefix"
	if !v.doc.Has(at) {
		at, change = path+".name", "change the name, or add a prefix"
	}
	first, _, _ := strings.Cut(own, "/")
	if first == "admin" || first == "runs" {
		v.doc.Add(at, fmt.Sprintf("mayfly itself writes to %s/ in the store", first), change)
		return
	}
	for k := range i {
		other := strings.ToLower(string(v.c.Jobs[k].Prefix))
		switch {
		case other == "":
		case other == own:
			v.doc.Add(at, fmt.Sprintf("jobs[%d] writes to %s/ too", k, own), change)
		case strings.HasPrefix(other, own+"/"), strings.HasPrefix(own, other+"/"):
			v.doc.Add(at, fmt.Sprintf("lies within the prefix of jobs[%d], or around it: %s/ and %s/", k, own, other), change)
		}
	}
}
