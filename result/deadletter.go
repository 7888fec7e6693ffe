package result

// DeadLetter points at a record that could not be counted. The record itself stays in the input stream: nothing of its
// content is copied, only its size and hash.
type DeadLetter struct {
	Stream  string `json:"stream"`
	Seq     uint64 `json:"seq"`
	Index   int    `json:"index"` // of the record in the message, from 0
	Subject string `json:"subject"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
	Model   string `json:"model"`  // as far as it is known
	Size    int    `json:"size"`   // bytes of the record, or of the message where it has no end
	SHA256  string `json:"sha256"` // of the same bytes
	Time    int64  `json:"time_ms"`
}
