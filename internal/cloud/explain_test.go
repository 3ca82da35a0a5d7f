package cloud_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mayfly/internal/awstest"
	"mayfly/internal/cloud"
)

// TestDeniedInAnotherForm has a server refuse in the form of another service,
// as gateways and test servers do: the SDK cannot read why.
func TestDeniedInAnotherForm(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"another service's XML": `<Response><Errors><Error><Code>AccessDenied</Code><Message>no</Message></Error></Errors></Response>`,
		"a page":                `<html><h1>403 Forbidden</h1></html>`,
		"nothing":               ``,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(srv.Close)
		env := (&awstest.Server{URL: srv.URL}).Env()
		env["AWS_ENDPOINT_URL"] = srv.URL
		c := load(t, env)
		topic := awstest.TopicARN("onlinebackup")
		p, err := c.Publisher(topic)
		if err != nil {
			t.Fatal(err)
		}
		_, ssm := c.Parameters().Get(t.Context(), "/token")
		for want, err := range map[string]error{
			"grant sns:Publish on " + topic:                                         p.Publish(t.Context(), "subject", "body"),
			"grant ssm:GetParameter on /token":                                      ssm,
			"grant autoscaling:TerminateInstanceInAutoScalingGroup on group weekly": c.LeaveGroup(t.Context(), "i-0abc", "weekly"),
		} {
			if !errors.Is(err, cloud.ErrDenied) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}
