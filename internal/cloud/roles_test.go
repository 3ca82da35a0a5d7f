package cloud_test

import (
	"testing"
)

func TestEnsureSpotRole(t *testing.T) {
	t.Parallel()
	missing := reply{status: 404, code: "NoSuchEntity", said: "The role with name AWSServiceRoleForEC2Spot cannot be found."}
	denied := reply{status: 403, code: "AccessDenied", said: "no"}
	taken := fails("InvalidInput", "Service role name AWSServiceRoleForEC2Spot has been taken in this account, please try a different suffix.")
	there := reply{body: "<Role><RoleName>AWSServiceRoleForEC2Spot</RoleName></Role>"}
	for name, x := range map[string]struct {
		look, create reply
		created      bool
		calls        int
		want         string
	}{
		"made":                     {missing, there, true, 1, ""},
		"there":                    {there, denied, false, 0, ""},
		"made in between":          {missing, taken, false, 1, ""},
		"made in between, in moto": {missing, fails("EntityAlreadyExists", "Role exists"), false, 1, ""},
		"may not look":             {denied, taken, false, 1, ""},
		"may not make":             {missing, denied, false, 1, "grant iam:CreateServiceLinkedRole on the role of spot.amazonaws.com"},
		"down":                     {reply{status: 503, code: "ServiceUnavailable", said: "x"}, there, false, 0, "iam:GetRole"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newStub(t)
			s.on("GetRole", x.look)
			s.on("CreateServiceLinkedRole", x.create)
			created, err := must(c.Roles()).EnsureSpotRole(t.Context())
			if created != x.created || x.want == "" && err != nil {
				t.Errorf("%v, %v", created, err)
			}
			if x.want != "" {
				saysAll(t, err, x.want)
			}
			if n := len(s.requests("CreateServiceLinkedRole")); n != x.calls {
				t.Errorf("asked to make it %d times", n)
			}
		})
	}
}

func TestRolesExist(t *testing.T) {
	t.Parallel()
	s, c := newStub(t)
	roles := must(c.Roles())
	for _, want := range []bool{true, false} {
		answer := reply{}
		if !want {
			answer = reply{status: 404, code: "NoSuchEntity", said: "cannot be found"}
		}
		s.on("GetRole", answer)
		s.on("GetInstanceProfile", answer)
		has, err := roles.RoleExists(t.Context(), "weekly")
		same(t, has, want, err)
		has, err = roles.ProfileExists(t.Context(), "weekly")
		same(t, has, want, err)
	}
}
