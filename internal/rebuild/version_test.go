package rebuild

import "testing"

func TestRecent(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]bool{
		"git version 2.39.5":                                true,
		"git version 2.32.0":                                true,
		"git version 2.39.5 (Apple Git-154)":                true,
		"git version 2.47.1.windows.1":                      true,
		"git version 3.0.0":                                 true,
		"git version 10.1":                                  true,
		"git version 2.31.8":                                false,
		"git version 2.9.5":                                 false,
		"git version 1.99.0":                                false,
		"xcode-select: note: no developer tools were found": false,
		"": false,
	} {
		if got := recent(said); got != want {
			t.Errorf("%q is recent: %t", said, got)
		}
	}
}
