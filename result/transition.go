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

// Transition is a change of an incident's state. It is committed with the result that caused it.
type Transition struct {
	Schema    int           `json:"schema"`
	Type      string        `json:"type"` // "transition"
	ID        string        `json:"id"`
	Incident  string        `json:"incident"`
	Rule      string        `json:"rule"`
	Kind      string        `json:"kind"`
	Severity  string        `json:"severity"`
	Key       Key           `json:"key"`
	Feature   string        `json:"feature,omitempty"`
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
}
