package jail

// A plan is a Spec as the helper reads it.
type plan struct {
	Dir        string   `json:"dir"`
	ReadOnly   bool     `json:"read_only,omitempty"`
	AppendOnly bool     `json:"append_only,omitempty"`
	Argv       []string `json:"argv,omitempty"`
	Args       []Arg    `json:"args,omitempty"`
	Task       []byte   `json:"task,omitempty"`
}

func (s *Spec) plan() plan {
	return plan{s.Dir, s.ReadOnly, s.AppendOnly, s.Argv, s.Args, s.Task}
}
