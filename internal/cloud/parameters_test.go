package cloud_test

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"mayfly/internal/cloud"
)

func TestParameterExists(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("GetParameter", reply{body: `{"Parameter": {"Name": "/t/token", "Value": "AQICAH"}}`})
	has, err := c.Parameters().Exists(t.Context(), "/t/token")
	same(t, has, true, err)
	if in := s.last("GetParameter").json; in["WithDecryption"] != false {
		t.Errorf("asked for %v", in)
	}
	s.on("GetParameter", fails("ParameterNotFound", ""))
	has, err = c.Parameters().Exists(t.Context(), "/t/token")
	same(t, has, false, err)
}

func TestPutParameter(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("PutParameter", reply{body: `{"Version": 2}`})
	for _, overwrite := range []bool{false, true} {
		if err := c.Parameters().Put(t.Context(), "/t/token", "ghp_secret", overwrite); err != nil {
			t.Error(err)
		}
		if in := s.last("PutParameter").json; in["Type"] != "SecureString" || in["Overwrite"] != overwrite || in["Value"] != "ghp_secret" || in["Name"] != "/t/token" {
			t.Errorf("sent %v", in)
		}
	}
	s.on("PutParameter", fails("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."))
	if err := c.Parameters().Put(t.Context(), "/t/token", "ghp_secret", false); !errors.Is(err, cloud.ErrExists) {
		t.Errorf("%v is no ErrExists", err)
	}
	before := len(s.requests("PutParameter"))
	saysAll(t, c.Parameters().Put(t.Context(), "/t/token", "", true), "ssm:PutParameter /t/token: the secret is empty")
	saysAll(t, c.Parameters().Put(t.Context(), "/t/token", strings.Repeat("x", 4097), true), "the secret has 4097 bytes, a parameter takes 4096", "secretsmanager:NAME")
	if n := len(s.requests("PutParameter")); n != before {
		t.Errorf("%d requests for what cannot be", n-before)
	}
}

// TestPutParameterKeepsTheSecret has AWS repeat the secret in its answer, in
// every form that its errors come in.
func TestPutParameterKeepsTheSecret(t *testing.T) {
	t.Parallel()
	const value = "ghp_\"Se&cret\"\n+x"
	for _, r := range []reply{
		fails("ValidationException", "1 validation error detected: Value '"+value[:8]+"...' at 'value' failed to satisfy constraint"),
		fails("InternalServerError", "cannot keep "+value),
		fails("ParameterAlreadyExists", "as "+strconv.Quote(value)),
		fails("AccessDeniedException", "Value="+url.QueryEscape(value)),
		{status: 500, code: "InternalServerError", said: value},
		{lose: true},
	} {
		s, c := newStub(t)
		s.on("PutParameter", r)
		err := c.Parameters().Put(t.Context(), "/t/token", value, true)
		saysAll(t, err, "ssm:PutParameter /t/token: ", r.code)
		all := fmt.Sprintf("%v %+v %#v %s", err, err, err, errors.Unwrap(err))
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			all += api.ErrorMessage()
		}
		for _, form := range []string{"ghp_", "Se&cret", "Se%26cret"} {
			if strings.Contains(all, form) {
				t.Errorf("%s holds %q", all, form)
			}
		}
		if (r.code == "AccessDeniedException") != errors.Is(err, cloud.ErrDenied) || (r.code == "ParameterAlreadyExists") != errors.Is(err, cloud.ErrExists) {
			t.Errorf("%v is of the wrong kind", err)
		}
	}
}

func TestRemoveParameter(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	for _, r := range []reply{{body: "{}"}, fails("ParameterNotFound", "")} {
		s.on("DeleteParameter", r)
		if err := c.Parameters().Remove(t.Context(), "/t/token"); err != nil {
			t.Error(err)
		}
	}
}

func TestPutPlain(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	p := c.Parameters()
	s.on("PutParameter", reply{body: `{"Version": 2}`})
	if err := p.PutPlain(t.Context(), "/t/address", "203.0.113.7"); err != nil {
		t.Error(err)
	}
	if in := s.last("PutParameter").json; in["Type"] != "String" || in["Overwrite"] != true || in["Value"] != "203.0.113.7" || in["Name"] != "/t/address" || in["Tier"] != "Standard" {
		t.Errorf("sent %v", in)
	}
	if err := p.PutPlain(t.Context(), "/t/address", strings.Repeat("x", 4096)); err != nil {
		t.Error(err)
	}
	before := len(s.requests("PutParameter"))
	saysAll(t, p.PutPlain(t.Context(), "/t/address", strings.Repeat("x", 4097)), "ssm:PutParameter /t/address: the value has 4097 bytes, a parameter takes 4096")
	saysAll(t, p.PutPlain(t.Context(), "/t/address", ""), "ssm:PutParameter /t/address: the value is empty")
	if n := len(s.requests("PutParameter")); n != before {
		t.Errorf("%d requests for what cannot be", n-before)
	}
	s.on("PutParameter", fails("AccessDeniedException", "no"))
	saysAll(t, p.PutPlain(t.Context(), "/t/address", "x"), "grant ssm:PutParameter on /t/address")
}

func TestPlain(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	p := c.Parameters()
	s.on("GetParameter", reply{body: `{"Parameter": {"Name": "/t/key.pub", "Type": "String", "Value": "ssh-ed25519 AAAA"}}`})
	value, has, err := p.Plain(t.Context(), "/t/key.pub")
	if same(t, value, "ssh-ed25519 AAAA", err); !has {
		t.Error("it is there")
	}
	if in := s.last("GetParameter").json; in["WithDecryption"] != false {
		t.Errorf("asked for %v", in)
	}
	s.on("GetParameter", reply{body: `{"Parameter": {"Name": "/t/key.pub", "Type": "SecureString", "Value": "AQICAH"}}`})
	value, _, err = p.Plain(t.Context(), "/t/key.pub")
	if saysAll(t, err, "ssm:GetParameter /t/key.pub: it is a SecureString"); value != "" {
		t.Errorf("%q", value)
	}
	s.on("GetParameter", fails("ParameterNotFound", ""))
	if value, has, err := p.Plain(t.Context(), "/t/key.pub"); value != "" || has || err != nil {
		t.Errorf("%q, %t, %v", value, has, err)
	}
	s.on("GetParameter", fails("AccessDeniedException", "no"))
	_, _, err = p.Plain(t.Context(), "/t/key.pub")
	saysAll(t, err, "grant ssm:GetParameter on /t/key.pub")
}
