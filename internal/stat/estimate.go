package stat

// Estimate is a number with what is known of its error, as far as it exists: nil, with a Reason, where it does not.
type Estimate struct {
	Value  *float64
	Lower  *float64 // of a confidence interval, whose level is that of the call
	Upper  *float64
	PValue *float64
	Reason string // why something of it does not exist
}

// Missing returns the estimate of a number that does not exist.
func Missing(reason string) Estimate {
	return Estimate{Value: nil, Lower: nil, Upper: nil, PValue: nil, Reason: reason}
}
