package app

import (
	"github.com/driftd/driftd/crash"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/pending"
	"github.com/driftd/driftd/pipeline"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

// The implementations need not import their consumers: that they fit is said here.
var (
	_ pipeline.Journal = ledger{}
	_ pipeline.Input   = (*input)(nil)
	_ pipeline.Stream  = (*input)(nil)
	_ pipeline.Source  = (*source)(nil)
	_ pipeline.Witness = (*crash.Recorder)(nil)
	_ pipeline.Pending = (*pending.Store)(nil)
	_ web.Reader       = (*store.Store)(nil)
	_ web.Reader       = (*influx.DB)(nil)
)
