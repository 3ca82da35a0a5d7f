package secret

import "regexp"

// tokens are secrets that announce themselves: GitHub's
// (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/),
// AWS's access keys, and private keys.
var tokens = regexp.MustCompile(`gh[pousr]_[A-Za-z0-9_]{10,}|github_pat_[A-Za-z0-9_]{10,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|-----BEGIN[^\n]*|glpat-[A-Za-z0-9_-]{10,}|xox[a-z]-[A-Za-z0-9-]{10,}`)

// HideTokens takes well-known forms of tokens and keys out of a text that was
// never meant to hold one: a config with a secret pasted into it. What a run
// resolves is a Redactor's work.
func HideTokens(s string) string { return tokens.ReplaceAllString(s, redacted) }
