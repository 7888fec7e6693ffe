package influx

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/driftd/driftd/result"
)

// Document is one committed document: exactly the bytes of a result.Summary, a result.FeatureDoc, a result.Quality, a
// result.Fairness, a result.Comparison or a result.Transition. ID is its message id in the outbox: <result_id>, <result_id>.<part>, or the transition's id.
type Document struct {
	ID   string
	Data []byte
}

// Bounds. A revision moves the timestamp by a millisecond, and the shortest window is a second long.
const (
	maxRevision = 999
	maxDocument = 4 << 20
	chunkBytes  = 60_000 // InfluxDB documents 64 KiB as the longest text
	maxChunks   = 16
)

const (
	encodingJSON = "json"
	encodingZstd = "zstd+base64"
	partSummary  = "summary"
)

// encoder turns documents into points. It is a function of its arguments: the same document gives the same bytes.
type encoder struct {
	histograms bool
	zstd       *zstd.Encoder
}

func newEncoder(histograms bool) (*encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, fmt.Errorf("preparing compression: %w", err)
	}
	return &encoder{histograms: histograms, zstd: z}, nil
}

// document returns the points of a document.
func (e *encoder) document(d Document) ([]line, error) {
	if len(d.Data) > maxDocument {
		return nil, fmt.Errorf("%d bytes, at most %d are taken", len(d.Data), maxDocument)
	}
	var head struct {
		Schema int    `json:"schema"`
		Type   string `json:"type"`
	}
	if err := json.NewDecoder(bytes.NewReader(d.Data)).Decode(&head); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	if head.Schema != result.SchemaVersion {
		return nil, fmt.Errorf("schema %d, this driftd knows %d", head.Schema, result.SchemaVersion)
	}
	switch head.Type {
	case "summary":
		return e.summary(d)
	case "features":
		return e.features(d)
	case "quality":
		return e.quality(d)
	case "fairness":
		return e.fairness(d)
	case "verdict":
		return e.verdict(d)
	case "transition":
		return e.transition(d)
	}
	return nil, fmt.Errorf("type %q is none of summary, features, quality, fairness, verdict and transition", head.Type)
}

// place is where a result's points lie: its tags and its time.
type place struct {
	key       result.Key
	window    result.Window
	reference string
	id        string
	revision  int
}

func (p *place) check(id, want string) error {
	switch {
	case p.id == "" || p.key.Model == "" || p.key.Version == "" || p.key.Segment == "":
		return fmt.Errorf("result %q of %+v has an empty part", p.id, p.key)
	case p.window.Size <= 0 || p.window.End <= p.window.Start:
		return fmt.Errorf("window [%d, %d) of size %d is empty", p.window.Start, p.window.End, p.window.Size)
	case p.window.End > maxTime-maxRevision || p.window.End < -maxTime:
		return fmt.Errorf("window end %d is no time that InfluxDB has", p.window.End)
	case p.revision < 0 || p.revision > maxRevision:
		return fmt.Errorf("revision %d is not between 0 and %d", p.revision, maxRevision)
	case id != want:
		return fmt.Errorf("its content says that it is %q", want)
	}
	return nil
}

func (p *place) time() int64 { return p.window.End + int64(p.revision) }

// tags returns the tags of the result with those of a point, in the order of their keys.
func (p *place) tags(more ...tag) []tag {
	all := append(slices.Clip(more),
		tag{TagModel, p.key.Model}, tag{TagReference, p.reference}, tag{TagSegment, p.key.Segment},
		tag{TagVersion, p.key.Version}, tag{TagWindow, WindowTag(p.window.Size)})
	slices.SortFunc(all, func(a, b tag) int { return strings.Compare(a.key, b.key) })
	return all
}

func (p *place) head(pt *point) {
	pt.string(FieldResultID, p.id)
	pt.int(FieldRevision, int64(p.revision))
	pt.int(FieldStart, p.window.Start)
}

func (e *encoder) summary(d Document) ([]line, error) {
	var s result.Summary
	if err := json.Unmarshal(d.Data, &s); err != nil {
		return nil, fmt.Errorf("reading summary: %w", err)
	}
	at := place{s.Key, s.Window, ReferenceTag(s.Ref), s.ResultID, s.Revision}
	if err := at.check(d.ID, s.ResultID); err != nil {
		return nil, err
	}
	c := &s.Counts
	if max(c.Events, c.Labels, c.Late, c.Duplicate, s.Lost, s.Errors, s.Latency.Count, s.Latency.Invalid) > math.MaxInt64 {
		return nil, errors.New("a count is out of range")
	}
	rejected := int64(0)
	for _, n := range c.Rejected {
		rejected += int64(n)
	}
	if s.Reasons == nil {
		s.Reasons = []string{}
	}
	reasons, err := json.Marshal(s.Reasons)
	if err != nil {
		return nil, fmt.Errorf("writing reasons: %w", err)
	}
	p := newPoint(MeasurementSummary, at.tags())
	at.head(p)
	p.string(FieldVerdict, string(s.Verdict))
	p.int(FieldLevel, s.Verdict.Level())
	p.float(FieldDriftShare, s.DriftShare)
	p.bool(FieldComplete, s.Complete)
	p.int(FieldLost, int64(s.Lost))
	p.int(FieldEvents, int64(c.Events))
	p.int(FieldLabels, int64(c.Labels))
	p.int(FieldLate, int64(c.Late))
	p.int(FieldDuplicate, int64(c.Duplicate))
	p.int(FieldRejected, rejected)
	p.int(FieldErrors, int64(s.Errors))
	p.float(FieldErrorRate, share(s.Errors, c.Events))
	p.float(FieldErrorRate+SuffixLower, s.ErrorRate.Lower)
	p.float(FieldErrorRate+SuffixUpper, s.ErrorRate.Upper)
	p.float(FieldErrorChange, s.ErrorChange.Value)
	p.float(FieldErrorChange+SuffixLower, s.ErrorChange.Lower)
	p.float(FieldErrorChange+SuffixUpper, s.ErrorChange.Upper)
	p.float(FieldThroughput, &s.ThroughputHz)
	p.float(FieldThroughputRatio, s.ThroughputRatio.Value)
	p.float(FieldThroughputRatio+SuffixLower, s.ThroughputRatio.Lower)
	p.float(FieldThroughputRatio+SuffixUpper, s.ThroughputRatio.Upper)
	p.int(FieldFeatures, int64(s.Features))
	p.int(FieldParts, int64(s.Parts))
	p.string(FieldReasons, string(reasons))
	name := ""
	if s.Ref != nil {
		name = s.Ref.Name
	}
	p.string(FieldRefName, name)
	doc, err := e.bytes(&at, partSummary, encodingJSON, d.Data)
	return []line{{p.end(at.time()), at.time(), 0}, {latency(&at, &s.Latency), at.time(), 0}, doc}, err
}

func latency(at *place, l *result.Latency) string {
	p := newPoint(MeasurementLatency, at.tags())
	at.head(p)
	p.int(FieldCount, int64(l.Count))
	p.int(FieldInvalid, int64(l.Invalid))
	p.float(FieldMeanMS, l.Mean)
	p.float(FieldMinMS, l.Min)
	p.float(FieldMaxMS, l.Max)
	p.float(FieldSlower, l.Slower.Value)
	p.float(FieldSlower+SuffixP, l.Slower.PValue)
	p.float(FieldSlower+SuffixLower, l.Slower.Lower)
	p.float(FieldSlower+SuffixUpper, l.Slower.Upper)
	for _, q := range slices.Sorted(maps.Keys(l.Quantiles)) {
		p.float(quantile(q)+FieldMSOf, l.Quantiles[q])
	}
	for _, q := range slices.Sorted(maps.Keys(l.Reference)) {
		p.float(FieldRefOf+quantile(q)+FieldMSOf, l.Reference[q])
	}
	for _, q := range slices.Sorted(maps.Keys(l.Ratio)) {
		r := l.Ratio[q]
		p.float(FieldRatioOf+quantile(q), r.Value)
		p.float(FieldRatioOf+quantile(q)+SuffixLower, r.Lower)
		p.float(FieldRatioOf+quantile(q)+SuffixUpper, r.Upper)
	}
	return p.end(at.time())
}

// quantile names a quantile: 0.5 is p50, 0.95 p95, 0.999 p999.
func quantile(q string) string {
	digits := strings.TrimPrefix(q, "0.")
	if len(digits) == 1 {
		digits += "0"
	}
	return "p" + digits
}

func (e *encoder) features(d Document) ([]line, error) {
	var doc result.FeatureDoc
	if err := json.Unmarshal(d.Data, &doc); err != nil {
		return nil, fmt.Errorf("reading features: %w", err)
	}
	at := place{doc.Key, doc.Window, ReferenceTag(doc.Ref), doc.ResultID, doc.Revision}
	if err := at.check(d.ID, doc.ResultID+"."+strconv.Itoa(doc.Part)); err != nil {
		return nil, err
	}
	out := make([]line, 0, 1+12*len(doc.Features))
	raw, err := e.bytes(&at, strconv.Itoa(doc.Part), encodingZstd, d.Data)
	if err != nil {
		return nil, err
	}
	out = append(out, raw)
	for i := range doc.Features {
		f := &doc.Features[i]
		c := &f.Current
		if f.Feature == "" || f.Role == "" || f.Verdict == "" {
			return nil, fmt.Errorf("feature %d has no name, no role or no verdict", i)
		}
		if max(c.Count, c.Missing, c.Invalid, c.Inf, f.NMin, f.Reference.Count) > math.MaxInt64 {
			return nil, fmt.Errorf("feature %q has a count out of range", f.Feature)
		}
		out = append(out, line{feature(&at, doc.Part, f), at.time(), 0})
		if e.histograms {
			out = append(out, histogram(&at, f)...)
		}
	}
	return out, nil
}

func feature(at *place, part int, f *result.Feature) string {
	c, r := &f.Current, &f.Reference
	p := newPoint(MeasurementFeature, at.tags(tag{TagFeature, f.Feature}, tag{TagRole, string(f.Role)}))
	at.head(p)
	p.string(FieldKind, f.Kind)
	p.int(FieldPart, int64(part))
	p.string(FieldVerdict, string(f.Verdict))
	p.int(FieldLevel, f.Verdict.Level())
	p.float(FieldQValue, f.QValue)
	p.int(FieldNMin, int64(f.NMin))
	p.string(FieldGate, f.Thresholds.Statistic)
	p.float(FieldGateValue, f.Statistics[f.Thresholds.Statistic].Value)
	p.float(FieldThresholdWarning, &f.Thresholds.Warning)
	p.float(FieldThresholdDrift, &f.Thresholds.Drift)
	p.int(FieldN, int64(c.Count))
	p.int(FieldMissing, int64(c.Missing))
	p.int(FieldInvalid, int64(c.Invalid))
	p.int(FieldInf, int64(c.Inf))
	p.float(FieldMean, c.Mean)
	p.float(FieldStd, c.Std)
	p.float(FieldMin, c.Min)
	p.float(FieldMax, c.Max)
	p.float(FieldMedian, c.Median)
	p.int(FieldRefN, int64(r.Count))
	p.float(FieldRefMean, r.Mean)
	p.float(FieldRefMedian, r.Median)
	for _, name := range slices.Sorted(maps.Keys(f.Statistics)) {
		s := f.Statistics[name]
		p.float(name, s.Value)
		p.float(name+SuffixP, s.PValue)
		p.float(name+SuffixLower, s.Lower)
		p.float(name+SuffixUpper, s.Upper)
		p.float(name+SuffixBaseline, s.Baseline)
	}
	return p.end(at.time())
}

func histogram(at *place, f *result.Feature) []line {
	var reference, current uint64
	for _, b := range f.Bins {
		reference, current = reference+b.Reference, current+b.Current
	}
	out := make([]line, 0, len(f.Bins))
	for i, b := range f.Bins {
		p := newPoint(MeasurementHistogram, at.tags(tag{TagBin, fmt.Sprintf("%03d", i)}, tag{TagFeature, f.Feature}, tag{TagRole, string(f.Role)}))
		at.head(p)
		p.string(FieldLabel, b.Label)
		p.int(FieldCountReference, int64(b.Reference))
		p.int(FieldCountCurrent, int64(b.Current))
		p.float(FieldShareReference, share(b.Reference, reference))
		p.float(FieldShareCurrent, share(b.Current, current))
		out = append(out, line{p.end(at.time()), at.time(), 0})
	}
	return out
}

func (e *encoder) transition(d Document) ([]line, error) {
	var t result.Transition
	if err := json.Unmarshal(d.Data, &t); err != nil {
		return nil, fmt.Errorf("reading transition: %w", err)
	}
	at := place{t.Key, t.Window, None, t.ID, 0}
	if err := at.check(d.ID, t.ID); err != nil {
		return nil, err
	}
	if t.Incident == "" || t.To == "" {
		return nil, errors.New("a transition without incident or state")
	}
	p := newPoint(MeasurementAlert, []tag{
		{TagFeature, t.Feature},
		{TagModel, t.Key.Model},
		{TagRole, string(t.Role)},
		{TagRule, t.Rule},
		{TagSegment, t.Key.Segment},
		{TagState, string(t.To)},
		{TagVersion, t.Key.Version},
		{TagWindow, WindowTag(t.Window.Size)},
	})
	p.string(FieldID, t.ID)
	p.string(FieldIncident, t.Incident)
	p.string(FieldResultID, t.ResultID)
	p.string(FieldRuleKind, t.Kind)
	p.string(FieldSeverity, t.Severity)
	p.string(FieldFrom, string(t.From))
	p.float(FieldValue, &t.Value)
	p.float(FieldThreshold, &t.Threshold)
	p.float(FieldWorst, &t.Worst)
	p.string(FieldUnit, t.Unit)
	p.string(FieldTitle, t.Title)
	p.int(FieldSince, t.Since)
	if err := e.chunks(p, encodingJSON, d.Data); err != nil {
		return nil, err
	}
	return []line{{p.end(at.time()), at.time(), 0}}, nil
}

// bytes is the point that keeps the committed bytes of a document.
func (e *encoder) bytes(at *place, part, encoding string, data []byte) (line, error) {
	p := newPoint(MeasurementDocument, at.tags(tag{TagPart, part}))
	at.head(p)
	err := e.chunks(p, encoding, data)
	return line{p.end(at.time()), at.time(), 0}, err
}

func (e *encoder) chunks(p *point, encoding string, data []byte) error {
	if len(data) > chunkBytes {
		encoding = encodingZstd
	}
	text := string(data)
	if encoding == encodingZstd {
		text = base64.StdEncoding.EncodeToString(e.zstd.EncodeAll(data, make([]byte, 0, len(data)/4+64)))
	}
	n := (len(text) + chunkBytes - 1) / chunkBytes
	if n > maxChunks {
		return fmt.Errorf("%d encoded bytes, at most %d are taken", len(text), maxChunks*chunkBytes)
	}
	sum := sha256.Sum256(data)
	p.string(FieldEncoding, encoding)
	p.string(FieldSHA256, hex.EncodeToString(sum[:]))
	p.int(FieldSize, int64(len(data)))
	p.int(FieldChunks, int64(n))
	for i := range n {
		p.string(chunkField(i), text[i*chunkBytes:min(len(text), (i+1)*chunkBytes)])
	}
	return nil
}

func chunkField(i int) string { return fmt.Sprintf("%s%02d", ChunkOf, i) }

func share(part, whole uint64) *float64 {
	if whole == 0 {
		return nil
	}
	v := float64(part) / float64(whole)
	return &v
}
