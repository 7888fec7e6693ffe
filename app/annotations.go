package app

import "github.com/driftd/driftd/web"

// annotations returns what the configuration in force says happened to a model, for the page.
func (a *App) annotations(model string) []web.Annotation {
	a.mu.Lock()
	defer a.mu.Unlock()
	notes := a.config.Models[model].Annotations
	out := make([]web.Annotation, 0, len(notes))
	for _, n := range notes {
		out = append(out, web.Annotation{Start: int64(n.Start), End: int64(n.End), Text: n.Text})
	}
	return out
}
