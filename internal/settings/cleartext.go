// SPDX-License-Identifier: Apache-2.0

package settings

// exposure is a connection over which credentials go so that whoever is on the
// way can take them.
type exposure struct {
	variable string
	value    string
	what     string // what everybody on the way can do, and why
	fix      string
	allow    string // the variable that allows it, "" where it is only warned of
	allowed  bool
	with     []string
}

// exposures lists what is not encrypted and leads out of this machine.
func (s Settings) exposures() (list []exposure) {
	if source, ok := s.chosen(); ok {
		list = source.exposures()
	}
	return append(list, s.SchemaRegistry.exposures()...)
}

// validateCleartext refuses to send credentials that others can read, unless
// that is allowed.
func (s Settings) validateCleartext() (p Problems) {
	for _, e := range s.exposures() {
		if e.allow != "" && !e.allowed {
			p.add(e.variable, e.value, e.what+"; "+e.fix+", or set "+e.allow+" to true where the network is trusted", append(e.with, e.allow)...)
		}
	}
	return p
}

// Warnings are what is allowed, but worth a warning. As in
// [Settings.ValidateSecrets], the secrets must be there.
func (s Settings) Warnings() (p Problems) {
	for _, e := range s.exposures() {
		if e.allow == "" || e.allowed {
			p.add(e.variable, e.value, e.what+"; "+e.fix, append(e.with, e.allow)...)
		}
	}
	return p
}
