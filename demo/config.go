package demo

import _ "embed" // the configuration

//go:embed driftd.yaml
var configFile []byte

// Config returns the configuration of the demo: a driftd.yaml as `driftd run` takes it.
func Config() []byte { return configFile }

// ReferenceName is what the configuration calls the reference.
const ReferenceName = "flights-january"
