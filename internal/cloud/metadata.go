package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	identityTime  = 30 * time.Second // for metadata to answer after boot
	identityPause = time.Second
	noticeTime    = 4 * time.Second // less than the 5 s between two looks
	metaMax       = 64 << 10        // bytes of one answer; they are a few hundred
)

// Metadata asks the instance that this process is on about itself: version 2
// of the metadata service only, never through a proxy.
type Metadata struct{ client *imds.Client }

// NewMetadata sends no request. getenv reads AWS_EC2_METADATA_SERVICE_ENDPOINT
// and AWS_EC2_METADATA_DISABLED.
func NewMetadata(getenv func(string) string) *Metadata {
	// Whoever asks asks again: identity every second, notices every 5.
	return &Metadata{metadataClient(getenv, aws.NopRetryer{})}
}

// metadataClient makes the SDK's client; a nil retryer is the SDK's.
func metadataClient(getenv func(string) string, retryer aws.Retryer) *imds.Client {
	return imds.New(imds.Options{
		// Version 1 answers anyone on the machine who can make it fetch a URL.
		EnableFallback:    aws.FalseTernary,
		Endpoint:          getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
		ClientEnableState: metadataState(getenv),
		Retryer:           retryer,
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.Proxy = nil
		}),
	})
}

// An Identity is what an instance knows about itself.
type Identity struct {
	ID, Type, Zone, Region, Account string
	Market                          string // "spot", "on-demand" or another of instance-life-cycle's
	Role                            string // the role's name; "": the instance has none
	Group                           string // the Auto Scaling group; "": none, or tags are not allowed in metadata
}

// Identity asks who this instance is. While metadata does not answer, it tries
// again for 30 s: right after boot the network may not be there yet.
func (m *Metadata) Identity(ctx context.Context) (id Identity, err error) {
	err = m.patiently(ctx, func(ctx context.Context) error {
		id, err = m.identity(ctx)
		return err
	})
	return id, err
}

// patiently asks until there is an answer, for 30 s.
func (m *Metadata) patiently(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, identityTime)
	defer cancel()
	var last error
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // not that the time was up while asking
		}
		if isFinal(last) {
			return explainMetadata(last)
		}
		select {
		case <-time.After(identityPause):
		case <-ctx.Done():
			return explainMetadata(last)
		}
	}
}

func (m *Metadata) identity(ctx context.Context) (Identity, error) {
	doc, err := m.client.GetInstanceIdentityDocument(ctx, &imds.GetInstanceIdentityDocumentInput{})
	if err != nil {
		return Identity{}, err
	}
	if doc.InstanceID == "" || doc.Region == "" {
		return Identity{}, errors.New("the instance identity document names no instance or no region")
	}
	id := Identity{ID: doc.InstanceID, Type: doc.InstanceType, Zone: doc.AvailabilityZone, Region: doc.Region, Account: doc.AccountID}
	for path, to := range map[string]*string{
		"instance-life-cycle":                     &id.Market,
		"iam/security-credentials/":               &id.Role,
		"tags/instance/aws:autoscaling:groupName": &id.Group,
	} {
		text, err := m.get(ctx, path)
		if err != nil {
			return Identity{}, err
		}
		*to, _, _ = strings.Cut(text, "\n")
	}
	return id, nil
}

// get returns the text at a path, "" when there is none (404).
func (m *Metadata) get(ctx context.Context, path string) (string, error) {
	out, err := m.client.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	if isAbsent(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer out.Content.Close()
	b, err := io.ReadAll(io.LimitReader(out.Content, metaMax))
	return strings.TrimSpace(string(b)), err
}

// A Notice is what metadata says about the instance's near future.
type Notice struct {
	Stop string    // why the instance is about to be taken, in words; "": it is not
	By   time.Time // when it will be; zero: not said
	Risk string    // why it may be taken soon, in words; "": nothing is known
}

// Notice looks once, within 4 s. The error is about what could not be asked;
// what the Notice says holds all the same.
//
// Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html,
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html,
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
func (m *Metadata) Notice(ctx context.Context) (Notice, error) {
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	var n Notice
	return n, errors.Join(
		m.spotAction(ctx, &n),
		m.lifecycle(ctx, &n),
		m.rebalance(ctx, &n),
	)
}

// look is get with an error that names the path.
func (m *Metadata) look(ctx context.Context, path string) (string, error) {
	text, err := m.get(ctx, path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, explainMetadata(err))
	}
	return text, nil
}

func (m *Metadata) spotAction(ctx context.Context, n *Notice) error {
	const path = "spot/instance-action"
	text, err := m.look(ctx, path)
	if err != nil || text == "" {
		return err
	}
	var notice struct {
		Action string
		Time   time.Time
	}
	if err := json.Unmarshal([]byte(text), &notice); err != nil || notice.Action == "" {
		return fmt.Errorf("%s: not a notice: %.200q", path, text)
	}
	n.Stop, n.By = "spot interruption notice, "+notice.Action, notice.Time
	if !n.By.IsZero() {
		n.Stop += " at " + n.By.UTC().Format("15:04:05 UTC")
	}
	return nil
}

// lifecycle tells when the group takes the instance: to end it, or out of
// service into a warm pool. One that was detached or put on standby by hand is
// taken by nobody.
func (m *Metadata) lifecycle(ctx context.Context, n *Notice) error {
	state, err := m.look(ctx, "autoscaling/target-lifecycle-state")
	if n.Stop == "" && (state == "Terminated" || strings.HasPrefix(state, "Warmed:")) {
		n.Stop = "the Auto Scaling group takes the instance out of service, target state " + state
	}
	return err
}

func (m *Metadata) rebalance(ctx context.Context, n *Notice) error {
	text, err := m.look(ctx, "events/recommendations/rebalance")
	if err != nil || text == "" {
		return err
	}
	n.Risk = "EC2 recommends a rebalance: this spot instance is more likely than others to be interrupted"
	return nil
}

// statusText finds the status of an answer in the text of an SDK error: what
// went wrong with a session token is not there to be unwrapped.
var statusText = regexp.MustCompile(`http response error StatusCode: ([0-9]{3})`)

// statusOf is the HTTP status of a metadata answer, 0 when there was none.
func statusOf(err error) int {
	if err == nil {
		return 0
	}
	if m := statusText.FindStringSubmatch(err.Error()); m != nil {
		status, _ := strconv.Atoi(m[1]) // three digits
		return status
	}
	return 0
}

const tokenText = "failed to get API token" // in the SDK's error

// isAbsent reports whether metadata has nothing at a path. A 404 for the
// session token says something else: that this is no metadata service, version 2.
func isAbsent(err error) bool {
	return statusOf(err) == http.StatusNotFound && !strings.Contains(err.Error(), tokenText)
}

const disabledText = "AWS_EC2_METADATA_DISABLED" // in the SDK's error: it has no typed one

// isFinal reports whether asking metadata again is of no use.
func isFinal(err error) bool {
	status := statusOf(err)
	again := status == http.StatusUnauthorized || status == http.StatusTooManyRequests // a session that was forgotten
	return status >= 400 && status < 500 && !again || strings.Contains(err.Error(), disabledText)
}

// explainMetadata makes an error of a metadata request readable.
func explainMetadata(err error) error {
	const doing = "ask instance metadata: "
	switch status := statusOf(err); {
	case strings.Contains(err.Error(), disabledText):
		return errors.New(doing + "it is disabled in the environment: unset " + disabledText + ", or run this on an EC2 instance only")
	case status == http.StatusForbidden:
		return errors.New(doing + "it is turned off for this instance (403): set HttpEndpoint: enabled in the launch template's metadata options")
	case status != 0:
		return fmt.Errorf(doing+"it answered with status %d: %s", status, http.StatusText(status))
	case errors.Is(err, context.Canceled):
		return fmt.Errorf(doing+"%w", context.Canceled)
	case isTransport(err):
		return errors.New(doing + "no answer: this must be an EC2 instance; inside a container there, the launch template must allow a hop limit of 2")
	}
	return fmt.Errorf(doing+"%w", err)
}

// isTransport reports whether no answer came at all.
func isTransport(err error) bool {
	_, unsent := errors.AsType[*smithyhttp.RequestSendError](err)
	return unsent || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), tokenText) && statusOf(err) == 0
}
