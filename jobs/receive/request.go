package receive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"mayfly/internal/store"
)

// What who wants files back and a run tell each other, below the job's prefix:
// one document of all requests, which a run reads every few seconds, and an
// answer to each. Whoever may write there can read every host's files.
const (
	requestsFile = "restores.json"
	answersDir   = "restores/"
)

// RequestTime is how long a request stands that nobody renews.
const RequestTime = time.Hour

// A Request asks a run to let a key read a host's files.
type Request struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	// Snapshot is to be read; "": the volume itself, as it is now.
	Snapshot string    `json:"snapshot,omitempty"`
	Key      string    `json:"key"` // in the form of authorized_keys
	By       string    `json:"by"`  // who asks, in words
	Asked    time.Time `json:"asked"`
	Until    time.Time `json:"until"`
	// Instance was started for this request alone: its run waits for no hosts,
	// and misses none. "": a run that is there anyway.
	Instance string `json:"instance,omitempty"`
}

type requests struct {
	Format   int       `json:"format"` // 1
	Requests []Request `json:"requests"`
}

// The states of an Answer.
const (
	Preparing = "preparing" // a volume is being made of the snapshot
	Ready     = "ready"     // rsync can begin
	Refused   = "refused"
	Over      = "over" // and nothing is left of it
)

// An Answer is a run's to a Request.
type Answer struct {
	Format  int    `json:"format"` // 1
	ID      string `json:"id"`
	Run     string `json:"run"`
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"` // why it was refused, or is over
	Address string `json:"address,omitempty"`
	Port    int    `json:"port,omitempty"`
	HostKey string `json:"host_key,omitempty"` // as in known_hosts, behind the name
	// Until is when the window closes at the latest.
	Until time.Time `json:"until,omitzero"`
}

// Ask puts a request among the others, or takes the place of the one with its
// ID, and drops those whose time is over.
func Ask(ctx context.Context, st store.Store, prefix string, q Request, now time.Time) error {
	return change(ctx, st, prefix, func(list []Request) []Request {
		return append(slices.DeleteFunc(list, func(o Request) bool { return o.ID == q.ID || now.After(o.Until) }), q)
	})
}

// Withdraw takes a request away. A run that serves it ends that, and says so in
// its answer, which stays: nothing in it is secret.
func Withdraw(ctx context.Context, st store.Store, prefix, id string) error {
	return change(ctx, st, prefix, func(list []Request) []Request {
		return slices.DeleteFunc(list, func(o Request) bool { return o.ID == id })
	})
}

func change(ctx context.Context, st store.Store, prefix string, edit func([]Request) []Request) error {
	key := prefix + "/" + requestsFile
	const tries = 10
	for try := 1; ; try++ {
		doc, etag, err := readRequests(ctx, st, prefix)
		if err != nil {
			return err
		}
		doc.Format, doc.Requests = 1, edit(doc.Requests)
		_, err = st.Put(ctx, key, text(doc), etag)
		if try < tries && (errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists)) {
			continue
		}
		return err
	}
}

// readRequests reads them all; none when there is no document. One that cannot
// be understood is an error.
func readRequests(ctx context.Context, st store.Store, prefix string) (requests, store.ETag, error) {
	var doc requests
	etag, err := readDocument(ctx, st, prefix+"/"+requestsFile, &doc)
	return doc, etag, err
}

// ReadAnswer is the answer to a request; nil when there is none yet.
func ReadAnswer(ctx context.Context, st store.Store, prefix, id string) (*Answer, error) {
	a := new(Answer)
	etag, err := readDocument(ctx, st, prefix+"/"+answersDir+id+".json", a)
	if err != nil || etag == "" {
		return nil, err
	}
	return a, nil
}

// readDocument reads a small one; its ETag is "" when there is none.
func readDocument(ctx context.Context, st store.Store, key string, into any) (store.ETag, error) {
	const most = 1 << 20
	body, o, err := st.Open(ctx, key, 0, -1)
	if errors.Is(err, store.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", st.URL(key), err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return "", fmt.Errorf("read %s: %w: it is not what mayfly wrote: remove it", st.URL(key), err)
	}
	return o.ETag, nil
}

// replace writes a document, whoever wrote it before.
func replace(ctx context.Context, st store.Store, key string, b []byte) error {
	const tries = 3
	for try := 1; ; try++ {
		o, err := st.Stat(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		_, err = st.Put(ctx, key, b, o.ETag)
		if try < tries && (errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists)) {
			continue
		}
		return err
	}
}

func text(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // it has nothing that cannot be encoded
	}
	return append(b, '\n')
}
