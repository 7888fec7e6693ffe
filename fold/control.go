package fold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/driftd/driftd/event"
)

// applyControl folds a control message: a marker, an activation or a configuration.
func (p *Partition) applyControl(m Message, out *Output) (bool, error) {
	if p.position.Index > 0 {
		return true, nil // it was applied before; what it made due has been drained
	}
	if !p.makeUp(out, len(p.beside)) {
		return false, nil
	}
	err := p.control(m)
	if rejected, ok := errors.AsType[*event.RejectError](err); ok {
		p.reject(m, 0, "", m.Data, rejected, out)
	} else if err != nil {
		return false, err
	}
	p.position.Index, p.position.Emitted = 1, 0
	return p.drain(out), nil
}

// control applies a control message. All that can fail is done before anything changes.
func (p *Partition) control(m Message) error {
	c, rejected := event.DecodeControl(m.Data)
	if rejected != nil {
		return rejected
	}
	switch c.Kind {
	case event.ControlConfig:
		p.stats.Controls++
		return p.applyConfig(c.Models)
	case event.ControlActivation:
		p.stats.Controls++
		return p.activate(c.Model, Binding{Name: c.Name, Fingerprint: c.Reference})
	case event.ControlMarker:
		p.stats.Markers++
		p.mark(m, c)
	}
	return nil
}

// mark applies a marker to its source, or to all. A marker may not lead the broker's clock by more than an event may.
func (p *Partition) mark(m Message, c event.Control) {
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		if c.Source != "" && c.Source != name {
			continue
		}
		s := p.sources[name]
		p.touch(s, m.Time)
		s.Advance(min(c.Watermark, m.Time+p.counting.FutureTolerance))
		p.settlePending(s)
		if c.End {
			s.Flush()
		}
	}
}

// rejectControl says why a control message cannot be applied.
func rejectControl(format string, args ...any) *event.RejectError {
	return &event.RejectError{Reason: event.RejectControl, Offset: 0, Detail: fmt.Sprintf(format, args...)}
}

// activate binds a reference to a model from its next pane on; an empty fingerprint unbinds it.
func (p *Partition) activate(model string, b Binding) error {
	if b.Fingerprint != "" {
		ref, err := p.refs(b.Fingerprint)
		if errors.Is(err, ErrNoReference) {
			return rejectControl("reference %s is not stored: create it before it is activated", b.Fingerprint)
		}
		if err != nil {
			return fmt.Errorf("loading reference %s: %w", b.Fingerprint, err)
		}
		if ref.Model != "" && ref.Model != model {
			return rejectControl("reference %q was made for model %q, not %q", ref.Name, ref.Model, model)
		}
	}
	old, had := p.bindings[model]
	p.bindings[model] = b
	if s := p.sources[model]; s != nil {
		if err := p.configure(s, p.effective(model)); err != nil {
			if delete(p.bindings, model); had {
				p.bindings[model] = old
			}
			return err
		}
	}
	return nil
}

// Reconfigure puts a counting configuration in force where the partition stands, as a configuration message there would. It is
// for a stream that driftd may not write to: another reading of it cannot know where that was. Call Settle before. After an error that
// does not wrap *event.RejectError the partition must be restored.
func (p *Partition) Reconfigure(c Counting) error {
	if len(p.beside) > 0 {
		panic("BUG: a configuration while windows are due that were not emitted")
	}
	p.runs.flush(p)
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding the configuration: %w", err)
	}
	return p.applyConfig(raw)
}

// applyConfig puts a new counting configuration in force: at the next pane of every model that it changes. A reference that
// the configuration names anew replaces what was activated before.
func (p *Partition) applyConfig(raw json.RawMessage) error {
	var next Counting
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&next); err != nil {
		return rejectControl("reading the configuration: %v", err)
	}
	if err := next.Validate(); err != nil {
		return rejectControl("the configuration is not valid: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(next.Models)) {
		fp := next.Models[name].Reference
		if fp == "" {
			continue
		}
		if _, err := p.refs(fp); errors.Is(err, ErrNoReference) {
			return rejectControl("reference %s of model %q is not stored: create it first", fp, name)
		} else if err != nil {
			return fmt.Errorf("loading reference %s: %w", fp, err)
		}
	}
	before := map[string]ModelConfig{}
	for name := range p.sources {
		before[name] = p.effective(name)
	}
	for model := range p.bindings {
		if next.Models[model].Reference != p.counting.Models[model].Reference {
			delete(p.bindings, model)
		}
	}
	p.counting, p.configHash, p.configStored = next, next.Hash(), false
	p.ids.resize(next.DedupIDs)
	p.decoder = newDecoder(next.Limits)
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		if now := p.effective(name); !reflect.DeepEqual(now, before[name]) {
			if err := p.configure(p.sources[name], now); err != nil {
				return fmt.Errorf("configuring model %q: %w", name, err) // the caller restores the partition
			}
		}
	}
	return nil
}
