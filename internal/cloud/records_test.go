package cloud_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloud"
)

const (
	listRecords   = "GET/hostedzone/Z1/rrset"
	changeRecords = "POST/hostedzone/Z1/rrset"
)

// recordXML is one record set; its values stand behind the type.
func recordXML(name, kind string, values ...string) string {
	s := "<ResourceRecordSet><Name>" + name + ".</Name><Type>" + kind + "</Type><TTL>60</TTL><ResourceRecords>"
	for _, v := range values {
		s += "<ResourceRecord><Value>" + v + "</Value></ResourceRecord>"
	}
	return s + "</ResourceRecords></ResourceRecordSet>"
}

func recordList(sets ...string) reply {
	return reply{body: "<ListResourceRecordSetsResponse><ResourceRecordSets>" + strings.Join(sets, "") +
		"</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>20</MaxItems></ListResourceRecordSetsResponse>"}
}

// changed says what a request asks to be changed: "UPSERT A 60 203.0.113.7".
func changed(t *testing.T, r request) string {
	t.Helper()
	var doc struct {
		Changes []struct {
			Action string
			Set    struct {
				Name, Type string
				TTL        int
				Values     []string `xml:"ResourceRecords>ResourceRecord>Value"`
			} `xml:"ResourceRecordSet"`
		} `xml:"ChangeBatch>Changes>Change"`
	}
	if err := xml.Unmarshal([]byte(r.body), &doc); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, c := range doc.Changes {
		if name := strings.TrimSuffix(c.Set.Name, "."); name != "backup.example.com" {
			t.Errorf("it changes %s", name)
		}
		list = append(list, fmt.Sprintf("%s %s %d %s", c.Action, c.Set.Type, c.Set.TTL, strings.Join(c.Set.Values, " ")))
	}
	return strings.Join(list, ", ")
}

var changeDone = reply{body: "<ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status></ChangeInfo></ChangeResourceRecordSetsResponse>"}

func addrs(list ...string) []netip.Addr {
	var as []netip.Addr
	for _, a := range list {
		as = append(as, netip.MustParseAddr(a))
	}
	return as
}

func TestSetRecord(t *testing.T) {
	t.Parallel()
	const name = "backup.example.com"
	a, aaaa := recordXML(name, "A", "203.0.113.7"), recordXML(name, "AAAA", "2001:db8::7")
	next := recordXML("c.example.com", "A", "198.51.100.1")
	txt := recordXML(name, "TXT", `"hello"`)
	alias := func(kind string) string {
		return "<ResourceRecordSet><Name>" + name + ".</Name><Type>" + kind + "</Type><AliasTarget><HostedZoneId>Z2</HostedZoneId><DNSName>lb.example.net.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>"
	}
	weighted := strings.Replace(a, "<TTL>", "<SetIdentifier>blue</SetIdentifier><Weight>1</Weight><TTL>", 1)
	both := addrs("203.0.113.7", "2001:db8::7")
	for title, x := range map[string]struct {
		there []string
		list  []netip.Addr
		done  string   // what is changed; "": nothing
		want  []string // of the error
	}{
		"new":               {there: []string{next}, list: both, done: "UPSERT A 60 203.0.113.7, UPSERT AAAA 60 2001:db8::7"},
		"an empty zone":     {list: both[:1], done: "UPSERT A 60 203.0.113.7"},
		"another address":   {there: []string{recordXML(name, "A", "203.0.113.1"), aaaa, next}, list: both, done: "UPSERT A 60 203.0.113.7"},
		"another TTL":       {there: []string{strings.Replace(a, ">60<", ">300<", 1)}, list: both[:1], done: "UPSERT A 60 203.0.113.7"},
		"as it is":          {there: []string{a, aaaa, next}, list: both},
		"in another order":  {there: []string{recordXML(name, "A", "203.0.113.8", "203.0.113.7")}, list: addrs("203.0.113.7", "203.0.113.8", "203.0.113.7")},
		"in capitals":       {there: []string{recordXML("Backup.Example.com", "A", "203.0.113.7")}, list: both[:1]},
		"mapped":            {list: addrs("::ffff:203.0.113.7"), done: "UPSERT A 60 203.0.113.7"},
		"no IPv6 any more":  {there: []string{a, aaaa, txt, next}, list: both[:1], done: "DELETE AAAA 60 2001:db8::7"},
		"IPv6 only":         {there: []string{a}, list: both[1:], done: "DELETE A 60 203.0.113.7, UPSERT AAAA 60 2001:db8::7"},
		"gone":              {there: []string{a, aaaa, txt, next}, done: "DELETE A 60 203.0.113.7, DELETE AAAA 60 2001:db8::7"},
		"gone already":      {there: []string{txt, next}},
		"other types stay":  {there: []string{txt, recordXML(name, "MX", "10 mail.example.com")}, list: both[:1], done: "UPSERT A 60 203.0.113.7"},
		"an alias":          {there: []string{alias("A")}, list: both[:1], want: []string{"route53:ChangeResourceRecordSets backup.example.com: its A record is an alias of lb.example.net.: it is left alone", "choose a name of its own"}},
		"an alias of IPv6":  {there: []string{a, alias("AAAA")}, list: both[:1], want: []string{"its AAAA record is an alias"}},
		"an alias stays":    {there: []string{alias("A"), aaaa}, done: "DELETE AAAA 60 2001:db8::7"},
		"a routing policy":  {there: []string{weighted}, list: both, want: []string{"its A records have a routing policy (blue)"}},
		"a CNAME":           {there: []string{recordXML(name, "CNAME", "other.example.com")}, list: both, want: []string{"the name has a CNAME record"}},
		"a CNAME stays":     {there: []string{recordXML(name, "CNAME", "other.example.com")}},
		"an alias of other": {there: []string{alias("HTTPS")}, list: both[:1], done: "UPSERT A 60 203.0.113.7"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.on(listRecords, recordList(x.there...))
			s.on(changeRecords, changeDone)
			err := must(c.Zones()).SetRecord(t.Context(), "Z1", name, time.Minute, x.list)
			if x.want != nil {
				if saysAll(t, err, x.want...); !errors.Is(err, cloud.ErrBusy) {
					t.Errorf("%v is no ErrBusy", err)
				}
			} else if err != nil {
				t.Error(err)
			}
			done := ""
			if asked := s.requests(changeRecords); len(asked) == 1 {
				done = changed(t, asked[0])
			} else if len(asked) > 1 {
				t.Errorf("%d requests", len(asked))
			}
			if done != x.done {
				t.Errorf("changed %q, want %q", done, x.done)
			}
			if q := s.last(listRecords).http.URL.Query(); q.Get("name") != name {
				t.Errorf("asked for %v", q)
			}
		})
	}
}

// The records of one name may fill several pages, and ask for the next by name.
func TestSetRecordPages(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	const name = "backup.example.com"
	page := recordList(recordXML(name, "A", "203.0.113.7"))
	page.body = strings.Replace(page.body, "<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated><NextRecordName>"+name+".</NextRecordName><NextRecordType>AAAA</NextRecordType>", 1)
	s.on(listRecords, page, recordList(recordXML(name, "AAAA", "2001:db8::7"), recordXML("c.example.com", "A", "198.51.100.1")))
	s.on(changeRecords, changeDone)
	if err := must(c.Zones()).SetRecord(t.Context(), "Z1", name, time.Minute, nil); err != nil {
		t.Error(err)
	}
	if got := changed(t, s.last(changeRecords)); got != "DELETE A 60 203.0.113.7, DELETE AAAA 60 2001:db8::7" {
		t.Errorf("changed %q", got)
	}
	if q := s.last(listRecords).http.URL.Query(); q.Get("type") != "AAAA" {
		t.Errorf("asked for %v", q)
	}
}

func TestSetRecordFails(t *testing.T) {
	t.Parallel()
	const name = "backup.example.com"
	there := recordList(recordXML(name, "A", "203.0.113.7"))
	refused := fails("InvalidChangeBatch", "[RRSet with DNS name backup.example.com. is not permitted in zone example.org.]")
	for title, x := range map[string]struct {
		list   []reply
		change []reply
		asked  int
		want   []string // nil: it is fine
	}{
		"a lost answer":    {list: []reply{there, recordList()}, change: []reply{fails("InvalidChangeBatch", "[Tried to delete resource record set but it was not found]")}, asked: 1},
		"others at work":   {list: []reply{there}, change: []reply{{status: 400, code: "PriorRequestNotComplete", said: "busy"}, changeDone}, asked: 2},
		"busy for long":    {list: []reply{there}, change: []reply{fails("PriorRequestNotComplete", "busy")}, asked: 5, want: []string{"Route 53 is busy", "try again later"}},
		"not of the zone":  {list: []reply{there}, change: []reply{refused}, asked: 3, want: []string{"route53:ChangeResourceRecordSets backup.example.com in hosted zone Z1: not accepted (", "not permitted in zone example.org", "check that the name is one of the zone's domain"}},
		"several mistakes": {list: []reply{there}, change: []reply{{status: 400, body: "<InvalidChangeBatch><Messages><Message>one</Message><Message>two</Message></Messages></InvalidChangeBatch>"}}, asked: 3, want: []string{"not accepted (one; two)"}},
		"denied":           {list: []reply{there}, change: []reply{{status: 403, code: "AccessDenied", said: "no"}}, asked: 1, want: []string{"grant route53:ChangeResourceRecordSets on backup.example.com in hosted zone Z1"}},
		"denied to look":   {list: []reply{{status: 403, code: "AccessDenied", said: "no"}}, want: []string{"grant route53:ListResourceRecordSets on hosted zone Z1"}},
		"no such zone":     {list: []reply{{status: 404, code: "NoSuchHostedZone", said: "No hosted zone found with ID: Z1"}}, want: []string{"there is no such hosted zone", "aws route53 list-hosted-zones"}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.on(listRecords, x.list...)
			s.on(changeRecords, x.change...)
			err := must(c.Zones()).SetRecord(t.Context(), "Z1", name, time.Minute, nil)
			if x.want == nil && err != nil {
				t.Error(err)
			} else if x.want != nil {
				saysAll(t, err, x.want...)
			}
			if n := len(s.requests(changeRecords)); n != x.asked {
				t.Errorf("asked %d times, want %d", n, x.asked)
			}
		})
	}
}

func TestZone(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	zones := must(c.Zones())
	answer := func(name, private string) reply {
		return reply{body: "<GetHostedZoneResponse><HostedZone><Id>/hostedzone/Z1</Id><Name>" + name + "</Name><CallerReference>x</CallerReference><Config><PrivateZone>" + private + "</PrivateZone></Config></HostedZone></GetHostedZoneResponse>"}
	}
	s.on("GET/hostedzone/Z1", answer("example.com.", "false"))
	got, err := zones.Zone(t.Context(), "Z1")
	same(t, got, cloud.HostedZone{Name: "example.com"}, err)
	for name, want := range map[string]bool{"example.com": true, "a.b.Example.com.": true, "badexample.com": false, "com": false, "example.com.evil.org": false} {
		if got.Holds(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	s.on("GET/hostedzone/Z1", answer("inside.", "true"))
	got, err = zones.Zone(t.Context(), "Z1")
	same(t, got, cloud.HostedZone{Name: "inside", Private: true}, err)

	s.on("GET/hostedzone/Z1", reply{status: 404, code: "NoSuchHostedZone", said: "No hosted zone found with ID: Z1"})
	_, err = zones.Zone(t.Context(), "Z1")
	if saysAll(t, err, "route53:GetHostedZone hosted zone Z1: there is no such hosted zone", "aws route53 list-hosted-zones"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("%v is no ErrNotFound", err)
	}
	s.on("GET/hostedzone/Z1", reply{status: 400, code: "InvalidInput", said: "too long"})
	_, err = zones.Zone(t.Context(), "Z1")
	saysAll(t, err, "not accepted (InvalidInput: too long)")
}
