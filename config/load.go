package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
)

// Load reads, decodes and validates the file at path. Files that the configuration names in its *_file settings are not
// read here; their relative paths become absolute, starting at the directory of the configuration file. The error is of
// type Errors when the file could be read: every mistake in it, in order.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading config: %w", err)
	}
	c, err := Parse(path, data)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("reading config: %w", err)
	}
	c.rebase(dir)
	return c, nil
}

// Parse decodes and validates data. Name stands for the file in the mistakes. All *_file settings stay as they are written.
// The error is of type Errors: every mistake, in the order of the file. A mistake in the YAML itself is reported alone,
// since nothing behind it can be trusted.
func Parse(name string, data []byte) (*Config, error) {
	d := parseDocument(name, data)
	if len(d.errs) > 0 && d.body == nil {
		return nil, d.errs.sorted()
	}
	c := Default()
	if d.body != nil {
		d.decode(d.body, "", reflect.ValueOf(c).Elem())
	}
	if d.nodes > maxNodes {
		return nil, d.errs.sorted()
	}
	d.completeAll(c)
	k := &checker{c: c, d: d}
	k.check()
	if err := d.errs.sorted(); err != nil {
		return nil, err
	}
	return c, nil
}

// Decode reads another file in the strict way of a configuration into a struct with yaml tags: unknown and repeated keys are
// mistakes, and nothing is converted. The error is of type Errors: every mistake, in the order of the file.
func Decode(name string, data []byte, into any) error {
	d := parseDocument(name, data)
	if d.body != nil {
		d.decode(d.body, "", reflect.ValueOf(into).Elem())
	}
	return d.errs.sorted()
}

// completeAll gives every window that has no slide its own size as slide.
func (d *document) completeAll(c *Config) {
	d.complete("defaults", c.Defaults.Windows)
	for name, m := range c.Models {
		if path := joinKey("models", name); d.written(path + ".windows") {
			d.complete(path, m.Windows)
		} else {
			m.Windows = append(m.Windows[:0:0], c.Defaults.Windows...)
			c.Models[name] = m
		}
	}
	d.completeRules(c)
}

func (d *document) complete(path string, windows []Window) {
	for i := range windows {
		if w := &windows[i]; w.Every == 0 && !d.written(joinIndex(path+".windows", i)+".every") {
			w.Every = w.Size
		}
	}
}

// files lists the settings that name a file.
func (c *Config) files() []*string {
	n := &c.NATS
	return []*string{
		&n.CredentialsFile, &n.NKeyFile, &n.PasswordFile, &n.TokenFile, &n.TLS.CAFile, &n.TLS.CertFile, &n.TLS.KeyFile, &c.Web.ConfigFile,
		&c.Store.InfluxDB.TokenFile, &c.Store.InfluxDB.TLS.CAFile, &c.Store.InfluxDB.TLS.CertFile, &c.Store.InfluxDB.TLS.KeyFile,
	}
}

func (c *Config) rebase(dir string) {
	rebase := func(file *string) {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(dir, *file)
		}
	}
	for _, file := range c.files() {
		rebase(file)
	}
	for name, n := range c.Notifiers {
		for _, file := range n.files() {
			rebase(file)
		}
		c.Notifiers[name] = n
	}
}

func (n *Notifier) files() []*string {
	return []*string{&n.URLFile, &n.PasswordFile, &n.TokenFile, &n.SecretFile, &n.TLS.CAFile, &n.TLS.CertFile, &n.TLS.KeyFile}
}
