package dirsync

import (
	"maps"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	share := func(s string) (m MaxDelete) {
		if err := m.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		return m
	}
	good := Config{From: "/srv/docs"}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // the key and a part of what is said; "" when it is right
	}{
		"nothing but from":         {func(c *Config) {}, ""},
		"nothing but to":           {func(c *Config) { *c = Config{To: "/srv/docs"} }, ""},
		"neither":                  {func(c *Config) { c.From = "" }, ": it names no directory"},
		"both":                     {func(c *Config) { c.To = "/srv/other" }, "to: both from and to"},
		"a relative directory":     {func(c *Config) { c.From = "docs" }, `from: "docs" depends on where`},
		"a home":                   {func(c *Config) { c.From = "~/docs" }, `from: "~/docs" depends on where`},
		"a relative target":        {func(c *Config) { *c = Config{To: "./x"} }, `to: "./x" depends on where`},
		"everything":               {func(c *Config) { c.From = "//" }, "from: this is the whole file system"},
		"an empty include":         {func(c *Config) { c.Include = []string{"*.jpg", ""} }, "include[1]: the glob is empty"},
		"an exclude of nothing":    {func(c *Config) { c.Exclude = []string{"./a/"} }, `exclude[0]: "./a/" matches nothing: no path has a part .; a / at the beginning is the directory itself`},
		"a bad exclude":            {func(c *Config) { c.Exclude = []string{"a[b"} }, `exclude[0]: "a[b" is no glob: a [ is not closed`},
		"a rule without a sign":    {func(c *Config) { c.Filter = []string{"*.jpg"} }, `filter[0]: "*.jpg" is no rule`},
		"a rule with a bad glob":   {func(c *Config) { c.Filter = []string{"- a", "+ {a"} }, `filter[1]: "{a" is no glob: a { is not closed`},
		"filter and exclude":       {func(c *Config) { c.Filter, c.Exclude = []string{"- a"}, []string{"b"} }, "filter: it stands beside"},
		"max_delete alone":         {func(c *Config) { c.MaxDelete = share("5") }, "max_delete: nothing is deleted without delete"},
		"max_delete of nothing":    {func(c *Config) { c.MaxDelete = share("0%") }, "max_delete: nothing is deleted without delete"},
		"max_delete":               {func(c *Config) { c.MaxDelete, c.Delete = share("100%"), true }, ""},
		"no storage class":         {func(c *Config) { c.StorageClass = "standard" }, `storage_class: "standard" is no storage class`},
		"a storage class":          {func(c *Config) { c.StorageClass = "GLACIER_IR" }, ""},
		"a storage class to read":  {func(c *Config) { *c = Config{To: "/srv/docs", StorageClass: "GLACIER_IR"} }, "storage_class: is about what is written"},
		"a key to read":            {func(c *Config) { *c = Config{To: "/srv/docs", KMSKey: "arn:aws:kms:eu-west-1:123456789012:key/a-1"} }, "kms_key: is about what is written"},
		"a key":                    {func(c *Config) { c.KMSKey = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab" }, ""},
		"an alias":                 {func(c *Config) { c.KMSKey = "arn:aws:kms:eu-west-1:123456789012:alias/docs" }, "kms_key: not the ARN of a KMS key"},
		"an id of a key":           {func(c *Config) { c.KMSKey = "1234abcd-12ab" }, "kms_key: not the ARN of a KMS key"},
		"too many at once":         {func(c *Config) { c.Parallel = 25 }, "parallel: 25 files at once"},
		"fewer than none at once":  {func(c *Config) { c.Parallel = -1 }, "parallel: -1 files at once"},
		"a checksum":               {func(c *Config) { c.Compare = "checksum" }, ""},
		"a directory with a slash": {func(c *Config) { c.From = "/srv/docs/" }, ""},
	} {
		config := good
		c.change(&config)
		var said []string
		for _, p := range config.Validate() {
			if p.Fix == "" {
				t.Errorf("%s: %s: no advice", name, p)
			}
			said = append(said, p.Item+": "+p.Reason)
		}
		switch got := strings.Join(said, "\n"); {
		case c.want == "" && got != "", c.want != "" && (!strings.HasPrefix(got, c.want) || len(said) != 1):
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestMaxDelete(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][3]int{ // of 5, 1000 and 1000000 files
		"": {1, 100, 100_000}, "10%": {1, 100, 100_000}, "0%": {0, 0, 0}, "0": {0, 0, 0}, "7": {7, 7, 7}, "100%": {5, 1000, 1_000_000},
	} {
		var m MaxDelete
		if text != "" {
			if err := m.UnmarshalText([]byte(text)); err != nil {
				t.Errorf("%q: %v", text, err)
			}
			if m.String() != text {
				t.Errorf("%q is written %q", text, m)
			}
		}
		for i, n := range []int{5, 1000, 1_000_000} {
			if m.of(n) != want[i] {
				t.Errorf("%q of %d: %d, want %d", text, n, m.of(n), want[i])
			}
		}
	}
	for _, text := range []string{"", "-1", "10 %", "101%", "many", "1e3", "12345678901"} {
		if err := new(MaxDelete).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// A role may delete files only if it is to, and use a key only if one is named.
func TestNeeds(t *testing.T) {
	t.Parallel()
	const key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"
	for name, c := range map[string]struct {
		config Config
		want   map[string]string // action -> resources
	}{
		"from": {Config{From: "/srv"}, map[string]string{
			"s3:ListBucket": "arn:{partition}:s3:::{bucket}", "s3:GetObject": "arn:{partition}:s3:::{bucket}/{prefix}*",
			"s3:PutObject": "arn:{partition}:s3:::{bucket}/{prefix}*", "s3:AbortMultipartUpload": "arn:{partition}:s3:::{bucket}/{prefix}*",
			"s3:ListBucketMultipartUploads": "arn:{partition}:s3:::{bucket}", "s3:DeleteObject": "arn:{partition}:s3:::{bucket}/{prefix}.mayfly/*",
		}},
		"delete and key": {Config{From: "/srv", Delete: true, KMSKey: key}, map[string]string{
			"s3:ListBucket": "arn:{partition}:s3:::{bucket}", "s3:GetObject": "arn:{partition}:s3:::{bucket}/{prefix}*",
			"s3:PutObject": "arn:{partition}:s3:::{bucket}/{prefix}*", "s3:AbortMultipartUpload": "arn:{partition}:s3:::{bucket}/{prefix}*",
			"s3:ListBucketMultipartUploads": "arn:{partition}:s3:::{bucket}", "s3:DeleteObject": "arn:{partition}:s3:::{bucket}/{prefix}*",
			"kms:Decrypt": key, "kms:GenerateDataKey": key,
		}},
		"to": {Config{To: "/srv", Delete: true}, map[string]string{
			"s3:ListBucket": "arn:{partition}:s3:::{bucket}", "s3:GetObject": "arn:{partition}:s3:::{bucket}/{prefix}*",
		}},
	} {
		got := map[string]string{}
		for _, s := range c.config.Needs().Permissions {
			for _, a := range s.Actions {
				got[a] += strings.Join(s.Resources, " ")
			}
			if s.Actions[0] == "kms:Decrypt" && s.Conditions["StringLike"]["kms:ViaService"] == nil {
				t.Errorf("%s: the key can be used beside S3", name)
			}
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
