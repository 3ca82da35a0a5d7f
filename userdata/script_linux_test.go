package userdata

import (
	"os/exec"
	"strings"
	"testing"
)

// sh runs a script under the machine's shell and returns what it prints.
func sh(t *testing.T, script string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh")
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sh: %v: %s", err, out)
	}
	return string(out)
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", " ", "plain", "it's", "'", "''", "'; echo no; '", `\`, `\'`, `'\''`, `"`, "$(echo no)", "`echo no`", "${HOME}", "$HOME",
		"a\nb", "\n", "# no", "-n", "*", "~", "!", "a;b&c|d>e<f", "é\x80\xff\x01\x7f", "%s\\n",
	} {
		if got := sh(t, "v="+quote(s)+"\nprintf '%s.' \"$v\""); got != s+"." {
			t.Errorf("%q came out as %q", s, got)
		}
	}
}

func TestScriptsParse(t *testing.T) {
	t.Parallel()
	data, err := Render(full())
	if err != nil {
		t.Fatal(err)
	}
	for kind, script := range parts(t, data) {
		cmd := exec.CommandContext(t.Context(), "sh", "-n")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
	}
}

// TestHMAC has the cases of RFC 4231 whose keys are no longer than a block.
func TestHMAC(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ key, text, want string }{
		{strings.Repeat("0b", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"4a656665", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	} {
		if got := sh(t, signScript+"hmac "+tt.key+" "+quote(tt.text)); got != tt.want {
			t.Errorf("HMAC of %q is %s", tt.text, got)
		}
	}
}

const (
	emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	stsToken = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)

// TestSign has signatures that AWS published: the Signature Version 4 test
// suite, the example of the IAM user guide, and that of the S3 API reference.
func TestSign(t *testing.T) {
	t.Parallel()
	suite := []string{"access=AKIDEXAMPLE", "secret=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "stamp=20150830T123600Z"}
	s3 := []string{"access=AKIAIOSFODNN7EXAMPLE", "secret=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "stamp=20130524T000000Z"}
	const plain = "host:example.amazonaws.com\nx-amz-date:20150830T123600Z"
	for _, tt := range []struct {
		name string
		env  []string
		args []string // region service method path query headers names hash
		want string
	}{
		{
			"get-vanilla", suite,
			[]string{"us-east-1", "service", "GET", "/", "", plain, "host;x-amz-date", emptySum},
			"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		},
		{
			"get-vanilla-query-order-key-case", suite,
			[]string{"us-east-1", "service", "GET", "/", "Param1=value1&Param2=value2", plain, "host;x-amz-date", emptySum},
			"Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
		},
		{
			"post-vanilla", suite,
			[]string{"us-east-1", "service", "POST", "/", "", plain, "host;x-amz-date", emptySum},
			"Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
		},
		{
			"post-x-www-form-urlencoded", suite,
			[]string{
				"us-east-1", "service", "POST", "/", "", "content-type:application/x-www-form-urlencoded\n" + plain,
				"content-type;host;x-amz-date", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
			},
			"Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
		},
		{
			"post-sts-header-before", suite,
			[]string{
				"us-east-1", "service", "POST", "/", "", plain + "\nx-amz-security-token:" + stsToken,
				"host;x-amz-date;x-amz-security-token", emptySum,
			},
			"Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
		},
		{
			"IAM ListUsers", append([]string{"access=AKIDEXAMPLE"}, suite[1:]...),
			[]string{
				"us-east-1", "iam", "GET", "/", "Action=ListUsers&Version=2010-05-08",
				"content-type:application/x-www-form-urlencoded; charset=utf-8\nhost:iam.amazonaws.com\nx-amz-date:20150830T123600Z",
				"content-type;host;x-amz-date", emptySum,
			},
			"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
		},
		{
			"S3 GetObject", s3,
			[]string{
				"us-east-1", "s3", "GET", "/test.txt", "",
				"host:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\nx-amz-content-sha256:" + emptySum + "\nx-amz-date:20130524T000000Z",
				"host;range;x-amz-content-sha256;x-amz-date", emptySum,
			},
			"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		},
	} {
		call := signScript + "sign"
		for _, a := range tt.args {
			call += " " + quote(a)
		}
		if got := sh(t, call, tt.env...); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
