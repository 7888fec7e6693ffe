package result

// IncidentState is the state of an incident.
type IncidentState string

// The states of an incident.
const (
	Inactive IncidentState = "inactive"
	Pending  IncidentState = "pending"  // the condition holds, not yet in enough windows
	Firing   IncidentState = "firing"   // somebody should look
	Resolved IncidentState = "resolved" // it is over; the next one is a new incident
)

// Transition is a change of an incident: of its state, or while it fires (from and to are equal) of the features that it is
// about, or of what inhibits it. It is committed with the result that caused it.
type Transition struct {
	Schema    int           `json:"schema"`
	Type      string        `json:"type"` // "transition"
	ID        string        `json:"id"`
	Incident  string        `json:"incident"`
	Rule      string        `json:"rule"`
	Kind      string        `json:"kind"`
	Severity  string        `json:"severity"`
	Key       Key           `json:"key"`
	Segment   string        `json:"segment,omitempty"` // the one with the largest effect; empty: it is about all events
	Feature   string        `json:"feature,omitempty"` // the one with the largest effect; empty: it is about the model
	Role      Role          `json:"role,omitempty"`
	From      IncidentState `json:"from"`
	To        IncidentState `json:"to"`
	Window    Window        `json:"window"`
	ResultID  string        `json:"result_id"`
	Since     int64         `json:"since_ms"` // start of the first window of the incident
	Value     float64       `json:"value"`
	Threshold float64       `json:"threshold"`
	Unit      string        `json:"unit"`  // what value and threshold are
	Worst     float64       `json:"worst"` // the largest value of the incident so far
	Title     string        `json:"title"`
	Reasons   []string      `json:"reasons"`

	// The features of the incident, the largest effect (value over threshold) first, at most 25 of FeaturesTotal.
	Features      []IncidentFeature `json:"features,omitempty"`
	FeaturesTotal int               `json:"features_total,omitempty"`

	// Of a rule about quality: the metric, and how long after the window labels were waited for; 0: it needs none.
	Metric   string `json:"metric,omitempty"`
	Maturity int64  `json:"maturity_ms,omitempty"`

	Reference   *ReferenceID      `json:"reference,omitempty"`    // what the window was compared with; absent: no reference
	Flapping    bool              `json:"flapping,omitempty"`     // it changed so often that it stays firing until a day was quiet
	InhibitedBy string            `json:"inhibited_by,omitempty"` // the rule whose incident makes this one not worth a message
	Labels      map[string]string `json:"labels,omitempty"`       // of the rule, for routing
	Annotations map[string]string `json:"annotations,omitempty"`  // of the rule, rendered
}

// IncidentFeature is one feature of an incident, or one segment of the model where Feature is empty.
type IncidentFeature struct {
	Segment   string   `json:"segment,omitempty"` // empty: all events
	Feature   string   `json:"feature"`
	Role      Role     `json:"role"`
	Firing    bool     `json:"firing"`
	Since     int64    `json:"since_ms"` // start of the first window in which its condition held
	Value     float64  `json:"value"`
	Threshold float64  `json:"threshold"`
	Worst     float64  `json:"worst"`
	Reasons   []string `json:"reasons"`
}
