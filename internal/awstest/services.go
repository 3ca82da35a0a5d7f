package awstest

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// publish checks what SNS checks. Source: Publish in the SNS API reference:
// "Subject ... must be ASCII text that begins with a letter, number, or
// punctuation mark; must not include line breaks or control characters; and
// must be less than 100 characters long"; messages "up to 262144 bytes".
func (s *Server) publish(c call, form url.Values) {
	m := Message{form.Get("TopicArn"), form.Get("Subject"), form.Get("Message")}
	invalid := func(what string) { c.fail(400, "InvalidParameter", "Invalid parameter: "+what) }
	switch {
	case strings.Count(m.Topic, ":") != 5 || !strings.HasPrefix(m.Topic, "arn:"):
		invalid("TopicArn")
		return
	case !slices.Contains(s.Topics, m.Topic):
		c.fail(404, "NotFound", "Topic does not exist")
		return
	case form.Has("Subject") && !validSubject(m.Subject):
		invalid("Subject")
		return
	case m.Body == "":
		invalid("Empty message")
		return
	case !utf8.ValidString(m.Body):
		invalid("Message Reason: not UTF-8")
		return
	case len(m.Subject)+len(m.Body) > 262144:
		invalid("Message too long")
		return
	}
	s.mu.Lock()
	s.messages = append(s.messages, m)
	n := len(s.messages)
	s.mu.Unlock()
	c.answerXML(`<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>%08d-0000-0000-0000-000000000000</MessageId></PublishResult><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></PublishResponse>`, n)
}

func validSubject(s string) bool {
	if s == "" || len(s) >= 100 || s[0] == ' ' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func (s *Server) callerIdentity(c call) {
	c.answerXML(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:sts::%[1]s:assumed-role/onlinebackup/i-0abc</Arn><UserId>AROAEXAMPLE:i-0abc</UserId><Account>%[1]s</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></GetCallerIdentityResponse>`, Account)
}

func (s *Server) getParameter(c call, body []byte) {
	var in struct {
		Name           string
		WithDecryption bool
	}
	if err := json.Unmarshal(body, &in); err != nil {
		c.fail(400, "SerializationException", err.Error())
		return
	}
	name := in.Name
	if strings.HasPrefix(name, "arn:") {
		if _, rest, ok := strings.Cut(name, ":parameter"); ok {
			name = rest
		}
	}
	value, ok := s.Parameters[name]
	if !ok {
		c.fail(400, "ParameterNotFound", "")
		return
	}
	if !in.WithDecryption {
		value = "AQICAHencrypted" // what a SecureString looks like without decryption
	}
	c.answerJSON(map[string]any{"Parameter": map[string]any{
		"Name": name, "Type": "SecureString", "Value": value, "Version": 1, "DataType": "text",
		"ARN":              "arn:aws:ssm:" + Region + ":" + Account + ":parameter" + name,
		"LastModifiedDate": float64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()),
	}})
}

func (s *Server) getSecretValue(c call, body []byte) {
	var in struct{ SecretId string }
	if err := json.Unmarshal(body, &in); err != nil {
		c.fail(400, "SerializationException", err.Error())
		return
	}
	value, ok := s.Secrets[in.SecretId]
	if !ok {
		c.fail(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	}
	c.answerJSON(map[string]any{
		"Name": in.SecretId, "SecretString": value, "VersionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE",
		"ARN": fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-AbCdEf", Region, Account, in.SecretId),
	})
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
