package fold

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// ReferencesInUse returns which reference a stored state judges each model by, as fingerprints, without restoring the state: what
// was activated, else what the configuration names. A state of another version is an error.
func ReferencesInUse(head []byte, stored map[string][]byte) (map[string]string, error) {
	var h header
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, fmt.Errorf("reading the state's header: %w", err)
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	counting, _, err := storedCounting(stored)
	if err != nil {
		return nil, err
	}
	used := map[string]string{}
	for model, m := range counting.Models {
		if m.Reference != "" {
			used[model] = m.Reference
		}
	}
	for model, b := range h.Bindings {
		if used[model] = b.Fingerprint; b.Fingerprint == "" {
			delete(used, model)
		}
	}
	return used, nil
}

// check refuses a state that another version wrote.
func (h *header) check() error {
	if h.Version < 1 || h.Version > stateVersion {
		return fmt.Errorf("the state has version %d, this driftd reads 1 to %d: run the driftd that wrote it, or upgrade", h.Version, stateVersion)
	}
	return nil
}

// storedCounting returns the configuration that a state was counted by, and in how many parts it is stored.
func storedCounting(stored map[string][]byte) (c Counting, parts int, err error) {
	var config []byte
	for ; stored[configPrefix+strconv.Itoa(parts)] != nil; parts++ {
		config = append(config, stored[configPrefix+strconv.Itoa(parts)]...)
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return c, parts, fmt.Errorf("restoring the configuration: %w", err)
	}
	return c, parts, nil
}
