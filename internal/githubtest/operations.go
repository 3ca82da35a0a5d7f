package githubtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// getMe is GET /user.
func (s *Server) getMe(r *http.Request) answer {
	switch {
	case !s.signedIn(r):
		return refuse(http.StatusUnauthorized, "Requires authentication")
	case !s.isPersonal(r):
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	return ok(s.user(base(r), s.o.Login, true))
}

// isPersonal reports whether the token is a person's and not an installation's.
func (s *Server) isPersonal(r *http.Request) bool {
	return r.Header.Get("Authorization") == "Bearer "+s.o.Token
}

// getUser is GET /users/X; it knows organizations too.
func (s *Server) getUser(r *http.Request) answer {
	owner, ok1 := s.owner(r.PathValue("owner"))
	if !ok1 {
		return notFound()
	}
	return ok(s.user(base(r), owner, false))
}

// getOrganization is GET /orgs/X.
func (s *Server) getOrganization(r *http.Request) answer {
	owner, found := s.owner(r.PathValue("owner"))
	if !found || !s.isOrganization(owner) {
		return notFound()
	}
	return ok(s.organization(base(r), owner, s.signedIn(r)))
}

// owner returns the account's own spelling of its name.
func (s *Server) owner(name string) (string, bool) {
	known := append([]string{s.o.Login}, s.o.Organizations...)
	for _, r := range s.repositories() {
		known = append(known, r.owner)
	}
	for _, k := range known {
		if k != "" && strings.EqualFold(k, name) {
			return k, true
		}
	}
	return "", false
}

func (s *Server) isOrganization(owner string) bool { return slices.Contains(s.o.Organizations, owner) }

// listOwner is GET /users/X/repos, which never has private repositories, and
// GET /orgs/X/repos, which has those the token may see.
func (s *Server) listOwner(r *http.Request) answer {
	owner, found := s.owner(r.PathValue("owner"))
	org := strings.HasPrefix(r.URL.Path, api+"/orgs/")
	if !found || org && !s.isOrganization(owner) {
		return notFound()
	}
	var rs []repository
	for _, one := range s.visible(r, owner) {
		if org || !one.Private {
			rs = append(rs, one)
		}
	}
	return s.page(r, rs, func(page []map[string]any) any { return page })
}

// listMine is GET /user/repos.
func (s *Server) listMine(r *http.Request) answer {
	switch {
	case !s.signedIn(r):
		return refuse(http.StatusUnauthorized, "Requires authentication")
	case !s.isPersonal(r):
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	owner := ""
	if r.URL.Query().Get("affiliation") == "owner" {
		owner = s.o.Login
	}
	return s.page(r, s.visible(r, owner), func(page []map[string]any) any { return page })
}

// listInstallation is GET /installation/repositories.
func (s *Server) listInstallation(r *http.Request) answer {
	if !s.signedIn(r) || s.isPersonal(r) {
		return refuse(http.StatusForbidden, "You must authenticate with an installation access token in order to list repositories for an installation.")
	}
	rs := s.visible(r, "")
	return s.page(r, rs, func(page []map[string]any) any {
		return map[string]any{"total_count": len(rs), "repositories": page, "repository_selection": "selected"}
	})
}

// page cuts the page that was asked for, with the Link header beside it
// (https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api).
func (s *Server) page(r *http.Request, rs []repository, form func([]map[string]any) any) answer {
	q := r.URL.Query()
	per, page := 30, 1
	if n, err := strconv.Atoi(q.Get("per_page")); err == nil && n > 0 {
		per = n
	}
	per = min(per, s.o.PerPage)
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 0 {
		page = n
	}
	last := max((len(rs)+per-1)/per, 1)
	from, to := min((page-1)*per, len(rs)), min(page*per, len(rs))
	list := []map[string]any{}
	for _, one := range rs[from:to] {
		list = append(list, s.describe(base(r), one))
	}
	var links []string
	link := func(n int, rel string) {
		q.Set("page", strconv.Itoa(n))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, base(r), r.URL.Path, q.Encode(), rel))
	}
	if page > 1 {
		link(page-1, "prev")
	}
	if page < last {
		link(page+1, "next")
		link(last, "last")
	}
	if page > 1 {
		link(1, "first")
	}
	a := ok(form(list))
	if len(links) > 0 {
		a.header = http.Header{"Link": {strings.Join(links, ", ")}}
	}
	return a
}

// getRepository is GET /repos/O/N.
func (s *Server) getRepository(r *http.Request) answer {
	owner, name := r.PathValue("owner"), r.PathValue("name")
	s.mu.Lock()
	id, gone := s.moved[owner+"/"+name]
	s.mu.Unlock()
	if gone {
		to := base(r) + api + "/repositories/" + strconv.FormatInt(id, 10)
		return answer{http.StatusMovedPermanently, http.Header{"Location": {to}},
			errorBody{Message: "Moved Permanently", URL: to, Docs: "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects"}}
	}
	one, found := s.find(r, owner, name)
	return s.one(r, one, found)
}

// getByID is GET /repositories/ID, which GitHub's redirects lead to.
func (s *Server) getByID(r *http.Request) answer {
	for _, one := range s.visible(r, "") {
		if strconv.FormatInt(one.id, 10) == r.PathValue("id") {
			return s.one(r, one, true)
		}
	}
	return notFound()
}

func (s *Server) one(r *http.Request, one repository, found bool) answer {
	switch {
	case !found:
		return notFound()
	case one.Blocked != "":
		return answer{status: http.StatusUnavailableForLegalReasons, body: map[string]any{
			"message": "Repository access blocked",
			"block":   map[string]any{"reason": "dmca", "created_at": "2026-01-02T03:04:05Z", "html_url": one.Blocked},
		}}
	}
	full := s.describe(base(r), one)
	full["network_count"], full["subscribers_count"] = 0, 0
	return ok(full)
}

// createToken is POST /app/installations/ID/access_tokens, for whoever signs
// with the app's key.
func (s *Server) createToken(r *http.Request) answer {
	app := s.o.App
	if app == nil || r.PathValue("id") != strconv.FormatInt(app.Installation, 10) {
		return notFound()
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if why := app.check(token, app.Now()); why != "" {
		return refuse(http.StatusUnauthorized, why)
	}
	life := app.Life
	if life == 0 {
		life = time.Hour
	}
	end := app.Now().Add(life)
	made := "ghs_" + rand.Text()
	s.mu.Lock()
	s.issued[made] = end
	s.mu.Unlock()
	return answer{status: http.StatusCreated, body: map[string]any{
		"token": made, "expires_at": end.UTC().Format(time.RFC3339),
		"permissions":          map[string]any{"contents": "read", "metadata": "read"},
		"repository_selection": "selected",
	}}
}

// check verifies a JSON Web Token as GitHub does: RS256, the app as issuer, no
// more than ten minutes. It returns GitHub's message, "" when all is well.
func (a *App) check(token string, now time.Time) string {
	const bad = "A JSON web token could not be decoded"
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return bad
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return bad
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(a.Key, crypto.SHA256, sum[:], sig) != nil {
		return bad
	}
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(b, &claims) != nil || claims.Iss != strconv.FormatInt(a.ID, 10) {
		return bad
	}
	if claims.Iat > now.Unix() || claims.Exp <= now.Unix() || claims.Exp-claims.Iat > 600 {
		return "'Expiration time' claim ('exp') is too far in the future"
	}
	return ""
}

// base is the address that the client used.
func base(r *http.Request) string {
	u := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}
