package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A starter is what a person says to get a first config.
type starter struct {
	owners                                    []string
	name, store, region, email, token, output string
	start, zone                               string
	from                                      string    // a directory to sync, instead of owners
	receive                                   *receiver // hosts that push, instead of both
}

// text is the config, with comments that say what else there is. What is not
// asked for stands there as a comment.
func (s starter) text() string {
	kept := "env:GITHUB_TOKEN"
	if s.start != "" || strings.HasPrefix(s.store, "s3://") {
		kept = "ssm:/" + s.name + "/github-token" // an instance does not have this environment
	}
	if s.token == "" && slices.Contains(s.owners, "me") {
		s.token = kept // there is no me without one
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	optional := func(given bool, format string, value, example string) {
		if given {
			line(format, value)
		} else {
			indent := format[:len(format)-len(strings.TrimLeft(format, " "))]
			line("%s# "+strings.TrimLeft(format, " "), indent, example)
		}
	}
	line("# yaml-language-server: $schema=mayfly.schema.json")
	line("# (mayfly schema > mayfly.schema.json gives your editor help and checks)")
	line("")
	line("# Names the deployment and every AWS resource of it.")
	line("name: %s", yamlText(s.name))
	line("")
	line("# Where everything is kept: s3://BUCKET, s3://BUCKET/PREFIX or file:///DIRECTORY.")
	line("store: %s", yamlText(s.store))
	optional(s.region != "", "region: %s", yamlText(s.region), "eu-west-1")
	line("")
	line("# Who gets the report. Without it, the console does.")
	optional(s.email != "", "notify: {email: [%s]}", yamlText(s.email), "you@example.com")
	line("")
	if s.from != "" {
		line("# On this machine, cron or a systemd timer starts mayfly run. An instance that")
		line("# mayfly deploy sets up has no directory but what jobs before put there.")
	} else {
		line("# When an instance does the work, once mayfly deploy has set it up: cron's five")
		line("# fields in a time zone; and after how long it ends, whatever it is doing.")
	}
	deadline := "2h"
	if s.receive != nil {
		deadline = s.receive.deadline
	}
	optional(s.start != "", "schedule: {%s, deadline: "+deadline+"}", s.schedule(), `start: "0 17 * * FRI", timezone: Europe/Berlin`)
	line("")
	line("jobs:")
	switch {
	case s.receive != nil:
		s.receive.job(line)
		return b.String()
	case s.from != "":
		s.syncJob(line)
		return b.String()
	}
	line("  - name: github")
	line("    github:")
	line("      # Users and organizations, or me: everything the token can read.")
	line("      owners: [%s]", yamlList(s.owners))
	line("      # Where the token is kept: env:NAME, file:/path, ssm:/name or")
	line("      # secretsmanager:name. Without one, public repositories only.")
	optional(s.token != "", "      token: %s", yamlText(s.token), kept)
	line("      # Patterns over OWNER/REPO. Everything is included by default.")
	line("      # include: [\"octocat/*\"]")
	line("      # exclude: [\"*/scratch-*\"]")
	line("      # forks: false")
	line("      # archived: false")
	line("      # wiki: false")
	return b.String()
}

// syncJob writes the job of a directory.
func (s starter) syncJob(line func(string, ...any)) {
	line("  - name: %s", yamlText(s.jobName()))
	line("    sync:")
	line("      # The directory; to: instead of from: brings the store's files to one.")
	line("      from: %s", yamlText(s.from))
	line("      # Patterns as rclone's. Everything is included by default.")
	line("      # include: [\"*.jpg\"]")
	line("      # exclude: [\"*.tmp\", cache/]")
	line("      # Delete in the store what is gone here; never more than so much at once.")
	line("      # delete: true")
	line("      # max_delete: 10%%")
	line("      # compare: checksum")
	line("      # storage_class: STANDARD_IA")
}

var (
	nameForm = regexp.MustCompile(`[^a-z0-9]+`)
	ownNames = []string{"", "admin", "runs"} // or nothing is left of the directory's
)

// jobName is the directory's, as far as a prefix can have it.
func (s starter) jobName() string {
	name := strings.Trim(nameForm.ReplaceAllString(strings.ToLower(filepath.Base(s.from)), "-"), "-")
	if slices.Contains(ownNames, name) || name[0] < 'a' {
		return "files"
	}
	return name
}

// schedule is the start, and its time zone where one is given.
func (s starter) schedule() string {
	if s.zone == "" {
		return "start: " + strconv.Quote(s.start)
	}
	return "start: " + strconv.Quote(s.start) + ", timezone: " + yamlText(s.zone)
}

// plainYAML is text that YAML reads as that text without quotes, in a list too.
var plainYAML = regexp.MustCompile(`^[A-Za-z/](?:[A-Za-z0-9_./:@+-]*[A-Za-z0-9_/-])?$`)

// yamlText writes text so that YAML reads it as that text.
func yamlText(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	if plainYAML.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

func yamlList(ss []string) string {
	quoted := make([]string, len(ss))
	for i, s := range ss {
		quoted[i] = yamlText(s)
	}
	return strings.Join(quoted, ", ")
}
