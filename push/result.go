package push

// A Verdict is how a push ended.
type Verdict string

// What a push can be.
const (
	Complete    Verdict = "complete"
	Partial     Verdict = "partial" // some files are missing; the report of the receiver says so too
	Failed      Verdict = "failed"
	Interrupted Verdict = "interrupted"
)

// A Result is how a push ended, for programs.
type Result struct {
	Deployment string         `json:"deployment"`
	Host       string         `json:"host"`
	Verdict    Verdict        `json:"verdict"`
	Problem    string         `json:"problem,omitempty"` // why it is not complete
	Sources    []SourceResult `json:"sources"`
	Done       bool           `json:"done"` // the receiver has been told
	Seconds    float64        `json:"seconds"`
}

// A SourceResult is how one source fared.
type SourceResult struct {
	Source  string  `json:"source"`
	Verdict Verdict `json:"verdict"`
	Problem string  `json:"problem,omitempty"`
	Tries   int     `json:"tries"`
	Files   int64   `json:"files"`   // transferred
	Deleted int64   `json:"deleted"` // at the receiver
	Bytes   int64   `json:"bytes"`   // of the files transferred
	Wire    int64   `json:"wire"`    // bytes that went over the line, of the last try
	Total   int64   `json:"total"`   // bytes of the whole source
}
