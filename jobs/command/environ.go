package command

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"mayfly/internal/secret"
)

const (
	defaultShell = "/bin/sh"
	defaultPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// passed are the variables of mayfly's own environment that every command
// gets, and forAWS those that one with aws: true gets as well.
var (
	passed = []string{"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME", "TZ"}
	forAWS = []string{
		"AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID",
		"AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_STS_REGIONAL_ENDPOINTS",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SNS", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSM",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_AUTO_SCALING",
		"AWS_ENDPOINT_URL_ROUTE_53",
	}
	forAWSSecret = []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"}
)

// environ is the whole environment of the command: nothing of mayfly's own but
// what is named here. The config's own variables come last and win.
func (j *job) environ(w *workplace, a account, secrets []string) []string {
	home := a.home
	if fi, err := os.Stat(home); home == "" || err != nil || !fi.IsDir() {
		home = w.dir
	}
	path := j.env.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	vars := map[string]string{
		"PATH": path, "HOME": home, "USER": a.name, "LOGNAME": a.name, "SHELL": a.shell, "PWD": w.dir, "TMPDIR": w.tmp,
		"MAYFLY_RUN": j.env.RunID, "MAYFLY_JOB": j.env.Job,
	}
	if w.secrets != "" {
		vars["MAYFLY_SECRETS"] = w.secrets
	}
	if j.config.Artifacts != "" {
		vars["MAYFLY_ARTIFACTS"] = filepath.Join(w.dir, j.config.Artifacts)
	}
	names := passed
	if j.config.AWS {
		names = slices.Concat(passed, forAWS, forAWSSecret)
		if j.env.Region != "" {
			vars["AWS_REGION"], vars["AWS_DEFAULT_REGION"] = j.env.Region, j.env.Region
		}
	}
	for _, n := range names {
		v := j.env.Getenv(n)
		if v == "" {
			continue
		}
		vars[n] = v
		if slices.Contains(forAWSSecret, n) {
			j.hide(secret.New(v))
		}
	}
	maps.Copy(vars, j.config.Env)
	var list []string
	for _, n := range slices.Sorted(maps.Keys(vars)) {
		list = append(list, n+"="+vars[n])
	}
	return append(list, secrets...)
}

// variable is the last value of a variable in an environment.
func variable(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if len(kv) > len(name) && kv[len(name)] == '=' && kv[:len(name)] == name {
			return kv[len(name)+1:]
		}
	}
	return ""
}
