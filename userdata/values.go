package userdata

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values are what user data says about one deployment.
type Values struct {
	Name   string // the deployment's
	Region string // "": the instance's own, from metadata
	Store  Store
	// Config is the SHA-256 of the config in hex; it lies in the store as
	// ConfigKey says.
	Config string
	// Binaries are the SHA-256 of mayfly in hex for amd64 and arm64, one of
	// them at least; they lie in the store as BinaryKey says.
	Binaries map[string]string
	// BinaryURL is where mayfly is fetched instead of the store: https, with
	// {arch} in place of the architecture. "" is the store.
	BinaryURL string
	// Topic is the ARN that a failure before the run is published to;
	// TopicName the name of a topic in the instance's own account and region,
	// where there is no ARN. Both "": nobody is told.
	Topic, TopicName string
	// Deadline is how long after its first boot the machine is switched off
	// regardless.
	Deadline time.Duration
	// KeepOnFailure is how long a machine whose run could not be started is
	// kept for a look at it; the deadline bounds it.
	KeepOnFailure time.Duration
	Packages      []string // of the distribution, that the jobs want
	// NoSSH switches the machine's own SSH server off before anything else is
	// done: hosts that come in have nothing to do with it.
	NoSSH bool
	// Environment is what the run gets on top: AWS_ENDPOINT_URL and its kin
	// (Passed), which the boot script itself follows too.
	Environment map[string]string
}

// Store is where mayfly and its config are fetched.
type Store struct {
	Bucket   string
	Prefix   string // without slashes around it; may be ""
	Region   string // "": the deployment's
	Endpoint string // "": AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS
	// PathStyle puts the bucket into the path; nil: where it must be, and with
	// an endpoint of one's own.
	PathStyle *bool
}

// Passed are the variables that Environment may hold.
func Passed() []string {
	return []string{
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SNS", "AWS_ENDPOINT_URL_AUTO_SCALING",
		"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_EC2",
		"AWS_ENDPOINT_URL_ROUTE_53", "AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
	}
}

// BinaryKey is where mayfly for arch ("amd64") is kept in the store.
func BinaryKey(arch, sha256 string) string { return "admin/mayfly-" + sha256 + "-linux-" + arch }

// ConfigKey is where the config is kept in the store.
func ConfigKey(sha256 string) string { return "admin/config-" + sha256 + ".yaml" }

var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}$`)
	regionForm  = regexp.MustCompile(`^[a-z0-9-]{0,30}$`)
	sumForm     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	bucketForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	topicForm   = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}$`)
	topicName   = regexp.MustCompile(`^[A-Za-z0-9_-]{0,256}$`)
	packageForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,80}$`)
)

// check finds what cannot be right, all of it at once.
func (v Values) check() error {
	var errs []error
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	expect(nameForm.MatchString(v.Name), "%q is not a deployment's name", v.Name)
	expect(regionForm.MatchString(v.Region), "%q is not a region", v.Region)
	expect(regionForm.MatchString(v.Store.Region), "%q is not a region", v.Store.Region)
	expect(bucketForm.MatchString(v.Store.Bucket), "%q is not a bucket", v.Store.Bucket)
	expect(plain(v.Store.Prefix) == nil && strings.Trim(v.Store.Prefix, "/") == v.Store.Prefix, "%q is not a prefix in a bucket", v.Store.Prefix)
	expect(sumForm.MatchString(v.Config), "%q is not a SHA-256 of a config", v.Config)
	expect(len(v.Binaries) > 0, "no mayfly for any architecture is known")
	for arch, sum := range v.Binaries {
		expect(arch == "amd64" || arch == "arm64", "%q is not an architecture that mayfly is made for: amd64, arm64", arch)
		expect(sumForm.MatchString(sum), "%q is not a SHA-256 of mayfly", sum)
	}
	expect(v.Topic == "" || topicForm.MatchString(v.Topic), "%q is not the ARN of a topic", v.Topic)
	expect(topicName.MatchString(v.TopicName), "%q is not the name of a topic", v.TopicName)
	expect(v.Deadline >= time.Minute && v.Deadline <= 30*24*time.Hour, "a deadline of %s cannot be", v.Deadline)
	expect(v.KeepOnFailure >= 0 && v.KeepOnFailure <= 30*24*time.Hour, "%s cannot be how long a machine is kept", v.KeepOnFailure)
	for _, p := range v.Packages {
		expect(packageForm.MatchString(p), "%q is not the name of a package", p)
	}
	for name, address := range v.Environment {
		expect(slices.Contains(Passed(), name), "%s is not a variable that is passed on", name)
		expect(isAddress(address, "https", "http"), "%s=%q is not an address like https://s3.example.com", name, address)
	}
	expect(v.Store.Endpoint == "" || isAddress(v.Store.Endpoint, "https", "http"), "%q is not an address like https://s3.example.com", v.Store.Endpoint)
	expect(v.BinaryURL == "" || isAddress(strings.ReplaceAll(v.BinaryURL, "{arch}", "arch"), "https"), "%q is not an address like https://example.com/mayfly-linux-{arch}", v.BinaryURL)
	return errors.Join(errs...)
}

// isAddress also keeps out what would end a quoted value in curl's config or
// in a systemd environment file.
func isAddress(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && plain(s) == nil && !strings.ContainsAny(s, " \"'\\`$#") && u.User == nil &&
		u.Host != "" && slices.Contains(schemes, u.Scheme)
}

// assignments are what stands in front of the boot script.
func (v Values) assignments() []value {
	host, path, endpoint := v.Store.place(v.Environment)
	storeRegion := v.Store.Region
	if storeRegion == "" && v.Region == "" && endpoint != "" {
		storeRegion = "us-east-1" // part of the signature only
	}
	var environment []string
	for _, name := range slices.Sorted(maps.Keys(v.Environment)) {
		environment = append(environment, name+`="`+v.Environment[name]+`"`)
	}
	list := []value{
		{"NAME", v.Name}, {"REGION", v.Region},
		{"STORE_HOST", host}, {"STORE_PATH", path}, {"STORE_ENDPOINT", endpoint}, {"STORE_REGION", storeRegion},
		{"CONFIG", v.Config},
	}
	for _, arch := range []string{"amd64", "arm64"} {
		from := strings.ReplaceAll(v.BinaryURL, "{arch}", arch)
		list = append(list, value{strings.ToUpper(arch), v.Binaries[arch]}, value{strings.ToUpper(arch) + "_URL", from})
	}
	if v.NoSSH {
		list = append(list, value{"MUTE", sshUnits})
	}
	return append(list,
		value{"TOPIC", v.Topic}, value{"TOPIC_NAME", v.TopicName},
		value{"KEEP", strconv.Itoa(int(v.KeepOnFailure.Seconds()))},
		value{"PACKAGES", strings.Join(v.Packages, " ")},
		value{"SNS", v.endpoint("SNS")}, value{"AUTOSCALING", v.endpoint("AUTO_SCALING")},
		value{"IMDS", v.metadata()},
		value{"ENVIRONMENT", strings.Join(environment, "\n")},
	)
}

// endpoint is the address of a service when it is not AWS's own.
func (v Values) endpoint(service string) string { return endpoint(v.Environment, service) }

func endpoint(environment map[string]string, service string) string {
	e := environment["AWS_ENDPOINT_URL_"+service]
	if e == "" {
		e = environment["AWS_ENDPOINT_URL"]
	}
	return strings.TrimRight(e, "/")
}

func (v Values) metadata() string {
	if e := v.Environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"]; e != "" {
		return strings.TrimRight(e, "/")
	}
	return "http://169.254.169.254"
}

// place is how objects of the store are addressed: what stands before s3. in
// AWS's host name, or else the endpoint; and the path of the prefix, escaped
// as a signature wants it.
func (s Store) place(environment map[string]string) (host, path, end string) {
	end = strings.TrimRight(s.Endpoint, "/")
	if end == "" {
		end = endpoint(environment, "S3")
	}
	// A dot in the bucket's name is none that the certificate allows.
	inPath := end != "" || strings.Contains(s.Bucket, ".")
	if s.PathStyle != nil {
		inPath = *s.PathStyle
	}
	if s.Prefix != "" {
		path = "/" + escapePath(s.Prefix)
	}
	switch scheme, rest, _ := strings.Cut(end, "://"); {
	case inPath:
		path = "/" + s.Bucket + path
	case end != "":
		end = scheme + "://" + s.Bucket + "." + rest
	default:
		host = s.Bucket + "."
	}
	return host, path, end
}

// escapePath is the URI encoding of Signature Version 4 for S3: everything but
// letters, digits, - . _ ~ and slashes.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func escapePath(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
