package web

import (
	"cmp"
	"context"
	"slices"

	"github.com/driftd/driftd/history"
)

// listModels lists the stored models with those that are counted now and have no stored window yet: what was just sent in must not
// look as if it were lost. Both are in the order of their names, so that a page is cut as the store's.
func (s *Server) listModels(ctx context.Context, p history.Page) (models []history.Model, next string, err error) {
	models, next, err = s.o.Reader.Models(ctx, p)
	if err != nil || s.o.Counted == nil {
		return models, next, err
	}
	stored := len(models)
	for _, name := range s.o.Counted() {
		if name <= p.Cursor || next != "" && name > next { // on another page
			continue
		}
		if !slices.ContainsFunc(models, func(m history.Model) bool { return m.Model == name }) {
			models = append(models, history.Model{Model: name, Newest: 0, Latest: []history.State{}})
		}
	}
	slices.SortFunc(models, func(a, b history.Model) int { return cmp.Compare(a.Model, b.Model) })
	if most := max(stored, p.Limit); p.Limit > 0 && len(models) > most {
		models, next = models[:most], models[most-1].Model
	}
	return models, next, nil
}
