package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// An origin says where the text of a setting stood.
type origin struct {
	where string // "flag --sync", "env TOCSIN_SYNC", "tocsin.yml:12"
	text  string
}

// A configuration is the settings in force with the origin of each.
type configuration struct {
	settings
	origins map[string]origin // by name; those without one have their default
	// ignored are variables that begin like ours and are none: slips.
	ignored []string
}

// A rawFlag keeps what was given on the command line for load, which judges
// flags, environment and file alike.
type rawFlag struct {
	setting
	text  string
	given bool
}

func (f *rawFlag) Set(s string) error { f.text, f.given = s, true; return nil }
func (f *rawFlag) String() string     { return f.value.String() } // the default, in the help
func (f *rawFlag) Type() string       { return f.value.Type() }

// configFlags are the flags of a command that reads the configuration.
type configFlags struct {
	file string
	raw  []*rawFlag
}

// register defines --config and every setting that may be a flag.
func (c *configFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&c.file, "config", "", "`file` of settings, YAML; see tocsin config sample")
	_ = cmd.MarkFlagFilename("config", "yml", "yaml")
	s := defaults()
	for _, setting := range s.table() {
		if setting.secret {
			continue
		}
		raw := &rawFlag{setting: setting}
		c.raw = append(c.raw, raw)
		f := flags.VarPF(raw, setting.name, "", setting.help)
		complete := cobra.NoFileCompletions
		switch v := setting.value.(type) {
		case boolValue:
			f.NoOptDefVal = "true"
		case choiceValue:
			complete = cobra.FixedCompletions(v.words, cobra.ShellCompDirectiveNoFileComp)
		case textValue:
			switch v.kind {
			case "file":
				continue // the shell completes it
			case "dir":
				_ = cmd.MarkFlagDirname(setting.name)
				continue
			}
		}
		_ = cmd.RegisterFlagCompletionFunc(setting.name, complete)
	}
}

// load is read, and says too which settings do not go together.
func (c *configFlags) load(environ []string) (configuration, error) {
	conf, err := c.read(environ)
	if err != nil {
		return conf, err
	}
	return conf, conf.check()
}

// loadLog is load for who needs the log and serves nobody: only the settings of
// the log have to go together.
func (c *configFlags) loadLog(environ []string) (configuration, error) {
	conf, err := c.read(environ)
	if err != nil {
		return conf, err
	}
	return conf, conf.checkLog()
}

// read reads every setting from the first place that has it: flag, environment,
// file, default. The error holds everything that is wrong, a line each, with
// where it stood; the settings that are right are loaded all the same.
func (c *configFlags) read(environ []string) (configuration, error) {
	conf := configuration{settings: defaults(), origins: map[string]origin{}}
	env := ourVariables(environ)
	if c.file == "" {
		c.file = env["TOCSIN_CONFIG"]
	}
	table := conf.table()
	var errs []error
	if c.file != "" {
		errs = append(errs, conf.readFile(c.file, table))
	}
	flags := map[string]*rawFlag{}
	for _, f := range c.raw {
		flags[f.name] = f
	}
	for _, s := range table {
		// An empty variable counts as unset: it is what compose files make of
		// an optional one.
		if text := env[s.env()]; text != "" {
			conf.origins[s.name] = origin{"env " + s.env(), text}
		}
		if f := flags[s.name]; f != nil && f.given {
			conf.origins[s.name] = origin{"flag --" + s.name, f.text}
		}
		delete(env, s.env())
		if o, found := conf.origins[s.name]; found {
			if err := s.value.Set(o.text); err != nil {
				errs = append(errs, wrongValue(s, o, err))
			}
		}
	}
	maps.DeleteFunc(env, func(name, _ string) bool {
		return name == "TOCSIN_CONFIG" || name == envURL || name == envToken ||
			// Kubernetes puts these there for a service of our name.
			strings.HasPrefix(name, "TOCSIN_SERVICE_") || strings.HasPrefix(name, "TOCSIN_PORT")
	})
	conf.ignored = slices.Sorted(maps.Keys(env))
	return conf, errors.Join(errs...)
}

// wrongValue is the one form of every complaint about a value: where, which key,
// what it is and what is wanted.
func wrongValue(s setting, o origin, want error) error {
	text := o.text
	switch s.value.(type) {
	case urlValue:
		text = withoutPassword(text)
	}
	if s.secret {
		text = redacted
	}
	return fmt.Errorf("%s: %s: %w, not %.80q", o.where, s.name, want, text)
}

// ourVariables are those of the environment that begin with TOCSIN_.
func ourVariables(environ []string) map[string]string {
	env := map[string]string{}
	for _, line := range environ {
		if name, text, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "TOCSIN_") {
			env[name] = text
		}
	}
	return env
}

// readFile takes the origins of all settings that the file has.
func (c *configuration) readFile(path string, table []setting) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	mapping, err := parseYAML(path, data)
	if err != nil || mapping == nil {
		return err
	}
	var errs []error
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, node := mapping.Content[i], mapping.Content[i+1]
		where := path + ":" + strconv.Itoa(key.Line)
		at := slices.IndexFunc(table, func(s setting) bool { return s.name == key.Value && !s.secret })
		if at < 0 {
			errs = append(errs, unknownKey(where, key.Value, table))
			continue
		}
		if former, found := c.origins[key.Value]; found {
			errs = append(errs, fmt.Errorf("%s: %s: want it once, it stands at %s too", where, key.Value, former.where))
			continue
		}
		text, err := scalarText(table[at], node)
		if err != nil {
			errs = append(errs, wrongValue(table[at], origin{where, node.Value}, err))
			continue
		}
		c.origins[key.Value] = origin{where, text}
	}
	return errors.Join(errs...)
}

// parseYAML is the one mapping that the file consists of; nil for an empty file.
func parseYAML(path string, data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: want one YAML document, not several", path)
	}
	mapping := doc.Content[0]
	if mapping.Kind == yaml.ScalarNode && mapping.Tag == "!!null" {
		return nil, nil // comments only
	}
	if mapping.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want lines of the form 'key: value'", path, mapping.Line)
	}
	return mapping, nil
}

// scalarText is a node as a flag would have it; lists are joined with commas.
func scalarText(s setting, node *yaml.Node) (string, error) {
	takesList := false
	switch s.value.(type) {
	case listValue, spansValue, pairsValue:
		takesList = true
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag != "!!null":
		return node.Value, nil
	case node.Kind == yaml.SequenceNode && takesList:
		items := make([]string, len(node.Content))
		for i, n := range node.Content {
			if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || strings.Contains(n.Value, ",") {
				return "", errors.New("want a list of words without commas")
			}
			items[i] = n.Value
		}
		return strings.Join(items, ","), nil
	case takesList:
		return "", errors.New("want a list, such as [a, b]")
	}
	return "", errors.New(`want one value, "" for none`)
}

func unknownKey(where, key string, table []setting) error {
	for _, s := range table {
		switch {
		case s.name == key:
			return fmt.Errorf("%s: %s: a secret does not belong into this file; want the variable %s", where, key, s.env())
		case s.name == strings.ReplaceAll(strings.ToLower(key), "_", "-"):
			return fmt.Errorf("%s: unknown key %q, want %q", where, key, s.name)
		}
	}
	return fmt.Errorf("%s: unknown key %.80q; 'tocsin config sample' lists all", where, key)
}
