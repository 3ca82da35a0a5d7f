package cloud_test

import (
	"testing"
	"time"

	"mayfly/internal/cloud"
)

func TestPutMetrics(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	s.on("PutMetricData", reply{})
	at := time.Date(2026, 11, 20, 17, 4, 12, 0, time.UTC)
	one := cloud.Metric{Name: "Duration", Unit: cloud.Seconds, Value: 41.5, Dimensions: [][2]string{{"Deployment", "onlinebackup"}, {"Job", "github"}}}
	if err := c.PutMetrics(t.Context(), at, []cloud.Metric{one}); err != nil {
		t.Fatal(err)
	}
	f := s.last("PutMetricData").form
	for name, want := range map[string]string{
		"Namespace":                      "mayfly",
		"MetricData.member.1.MetricName": "Duration", "MetricData.member.1.Unit": "Seconds", "MetricData.member.1.Value": "41.5",
		"MetricData.member.1.Timestamp":                "2026-11-20T17:04:12Z",
		"MetricData.member.1.Dimensions.member.2.Name": "Job", "MetricData.member.1.Dimensions.member.2.Value": "github",
	} {
		if got := f.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	// More than one request takes.
	many := make([]cloud.Metric, 1001)
	for i := range many {
		many[i] = one
	}
	if err := c.PutMetrics(t.Context(), at, many); err != nil {
		t.Fatal(err)
	}
	f = s.last("PutMetricData").form
	if f.Get("MetricData.member.1.MetricName") == "" || f.Get("MetricData.member.2.MetricName") != "" {
		t.Error("the last request does not hold the last metric alone")
	}
	s.on("PutMetricData", reply{status: 403, code: "AccessDenied", said: "not authorized"})
	saysAll(t, c.PutMetrics(t.Context(), at, []cloud.Metric{one}), "cloudwatch:PutMetricData mayfly: access denied", "grant cloudwatch:PutMetricData on mayfly")
}
