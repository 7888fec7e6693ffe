package history

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/driftd/driftd/result"
)

// heatDigits is how many significant digits a heat map's number has: enough for a colour and a tooltip, and a third of
// the bytes. Verdicts are never derived from the rounded number.
const heatDigits = 5

// NoVerdict is the letter of a window that does not hold the feature.
const NoVerdict = '-'

// VerdictLetter returns the letter of a verdict in a heat map, NoVerdict for an unknown one.
func VerdictLetter(v result.Verdict) byte {
	switch v {
	case result.Drift:
		return 'd'
	case result.Warning:
		return 'w'
	case result.Stable:
		return 's'
	case result.Insufficient:
		return 'i'
	default:
		return NoVerdict
	}
}

// MarshalJSON writes {"windows":[…],"features":[{"feature","role","kind","verdicts":"ssd-","psi_debiased":[0.01,null,…]}]}.
// It is written by hand because a map of 200 features over 1,000 windows has 200,000 numbers.
func (h *Heat) MarshalJSON() ([]byte, error) {
	windows := h.Windows
	if windows == nil {
		windows = []HeatWindow{}
	}
	head, err := json.Marshal(windows)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(head)+len(h.Features)*(len(h.Windows)*10+128)+64)
	b = append(b, `{"windows":`...)
	b = append(b, head...)
	b = append(b, `,"features":[`...)
	for i := range h.Features {
		f := &h.Features[i]
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(struct {
			Feature string      `json:"feature"`
			Role    result.Role `json:"role"`
			Kind    string      `json:"kind"`
		}{f.Feature, f.Role, f.Kind})
		if err != nil {
			return nil, err
		}
		b = append(b, name[:len(name)-1]...)
		b = append(b, `,"verdicts":"`...)
		b = append(b, f.Verdicts...)
		b = append(b, `","psi_debiased":[`...)
		for j, v := range f.PSI {
			if j > 0 {
				b = append(b, ',')
			}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				b = append(b, "null"...)
				continue
			}
			b = strconv.AppendFloat(b, v, 'g', heatDigits, 64)
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...), nil
}
