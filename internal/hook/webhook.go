package hook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
)

// A Webhook takes the report of a run.
type Webhook struct {
	Sender
	Address string
	// Secret signs the body; "" does not. The header is as GitHub's:
	// X-Mayfly-Signature-256: sha256=HEX, the HMAC of the body.
	// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
	Secret string
}

// JSON sends a document. It may come more than once: the run's id in
// X-Mayfly-Run tells them apart.
func (w Webhook) JSON(ctx context.Context, run string, doc []byte) error {
	h := http.Header{"Content-Type": {"application/json"}, "X-Mayfly-Run": {run}}
	if w.Secret != "" {
		mac := hmac.New(sha256.New, []byte(w.Secret))
		mac.Write(doc)
		h.Set("X-Mayfly-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return w.Post(ctx, w.Address, h, doc)
}

// Text sends a message as chat services take it: Slack, Mattermost, Rocket.Chat
// and others. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/
func (w Webhook) Text(ctx context.Context, run, text string) error {
	doc, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		return err
	}
	return w.JSON(ctx, run, doc)
}
